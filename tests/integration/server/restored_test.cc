// A store that is copied while no server has it, and put back: what the copy knows, what it refuses, and what it does not do again.
#include <filesystem>

#include "absl/time/clock.h"
#include "proto/util/time.h"
#include "tests/integration/server/fixture.h"
#include "tests/support/http_server.h"

namespace agentruntime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class RestoredServerTest : public ::testing::Test {
 protected:
  RestoredServerTest() {
    for (const TestServer* server : {&server_, &restored_}) {
      server->Write("agentd.yaml", absl::StrCat(R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: script, scripted: {file: script.json}}]
agents: [tester.yaml, worker.yaml]
drain_grace: 1s
tools:
  - name: charge
    timeout: 60s
    http_call:
      url: )",
                                                endpoint_.Url("/charge"), R"(
      description: Charges a customer's card.
      input_schema: '{"type":"object"}'
  - {name: ask, sub_agent: {agent: agents/worker, description: Does one thing.}}
)"));
      server->Write("tester.yaml", "name: tester\nmodel: script\ntools: [charge, ask]\n");
      server->Write("worker.yaml", "name: worker\nmodel: script\n");
      server->Write("script.json", R"({"rules": [
        {"input_contains": "charge", "steps": [{"calls": [{"tool": "charge", "arguments": {}}]}, {"text": ["charged"]}]},
        {"input_contains": "hang", "steps": [{"delay": "30m", "text": ["late"]}]},
        {"input_contains": "delegate", "steps": [{"calls": [{"tool": "ask", "arguments": {"input": "hang"}}]}, {"text": ["without it"]}]},
        {"input_contains": "", "steps": [{"text": ["It is 2."]}]}]})");
    }
  }
  // Of the files of a store that nobody has open.
  void Copy() {
    std::filesystem::create_directories(restored_.File("data"));
    for (const char* name : {"data/agentd.db", "data/agentd.db-wal"}) {
      if (std::filesystem::exists(server_.File(name))) std::filesystem::copy_file(server_.File(name), restored_.File(name));
    }
  }
  static std::string StoreId(const Stubs& stubs) {
    const auto info = Call(stubs.admin, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest());
    EXPECT_TRUE(info.ok()) << info.status();
    return info.ok() ? info->store().id() : "";
  }
  static absl::StatusOr<v1::ListRunsResponse> List(const Stubs& stubs, const std::string& token) {
    v1::ListRunsRequest request;
    request.set_page_size(1);
    request.set_page_token(token);
    return Call(stubs.run, &v1::RunService::Stub::ListRuns, request);
  }
  static absl::StatusOr<v1::Run> Resume(const Stubs& stubs, const std::string& run) {
    v1::ResumeRunRequest request;
    request.set_name(run);
    return Call(stubs.run, &v1::RunService::Stub::ResumeRun, request);
  }
  static void ExpectHeld(const Stubs& stubs, const std::string& name) {
    const auto run = AwaitStop(stubs, name);
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_EQ(run->state(), v1::RUN_STATE_STOPPED);
    EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_ERROR);
    EXPECT_EQ(run->stop().error().reason(), "RESTORED");
    EXPECT_TRUE(run->stop().resumable());
  }

  HttpServer endpoint_{[](const ServedRequest&, HttpServer::Connection& c) { c.WaitForClose(); }};
  TestServer server_;
  TestServer restored_;
};

TEST_F(RestoredServerTest, ACopyHoldsWhatWasUnfinishedUntilItIsResumed) {
  ASSERT_NO_FATAL_FAILURE(server_.Start());
  std::string charging, hanging, later, id, token;
  {
    const Stubs stubs(server_.Connect());
    Answered(stubs);
    Answered(stubs);
    charging = Create(stubs, Submit("charge"))->name();
    AwaitEvents(stubs, charging, 5);  // to the call_started
    hanging = Create(stubs, Submit("hang"))->name();
    AwaitEvents(stubs, hanging, 3);
    v1::CreateRunRequest scheduled = Submit("add");
    *scheduled.mutable_run()->mutable_not_before_time() = ToProto(absl::Now() + absl::Hours(2));
    later = Create(stubs, scheduled)->name();
    ASSERT_TRUE(endpoint_.AwaitRequests(1));
    id = StoreId(stubs);
    token = List(stubs, "")->next_page_token();
    ASSERT_FALSE(token.empty());
    EXPECT_TRUE(List(stubs, token).ok());
  }
  server_.Kill();
  Copy();

  ASSERT_NO_FATAL_FAILURE(restored_.Start({"--restored"}));
  std::string new_id;
  {
    const Stubs stubs(restored_.Connect());
    new_id = StoreId(stubs);
    EXPECT_THAT(new_id, ::testing::MatchesRegex("[0-9a-f]{32}"));
    EXPECT_NE(new_id, id);
    EXPECT_THAT(Say(List(stubs, token).status()), HasSubstr("INVALID_ARGUMENT PAGE_TOKEN_INVALID: page_token: it is of another store"));
    for (const std::string& run : {charging, hanging, later}) ExpectHeld(stubs, run);
    v1::GetStepRequest get;
    get.set_name(absl::StrCat(charging, "/steps/1"));
    const auto step = Call(stubs.run, &v1::RunService::Stub::GetStep, get);
    ASSERT_TRUE(step.ok()) << step.status();
    EXPECT_EQ(step->tool_calls(0).outcome(), v1::CALL_OUTCOME_UNCERTAIN);
    Answered(stubs);  // new runs are as ever
  }
  restored_.Kill();

  ASSERT_NO_FATAL_FAILURE(restored_.Start());
  {
    const Stubs stubs(restored_.Connect());
    EXPECT_EQ(StoreId(stubs), new_id);
    for (const std::string& run : {charging, hanging, later}) ExpectHeld(stubs, run);
    ASSERT_TRUE(Resume(stubs, charging).ok());
    const auto charged = AwaitStop(stubs, charging);
    ASSERT_TRUE(charged.ok()) << charged.status();
    EXPECT_EQ(charged->stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
    const auto resumed = Resume(stubs, later);
    ASSERT_TRUE(resumed.ok()) << resumed.status();
    EXPECT_EQ(resumed->state(), v1::RUN_STATE_QUEUED);
    ASSERT_TRUE(Resume(stubs, hanging).ok());
    AwaitEvents(stubs, hanging, 8);  // asked again: created, started, called; held, stopped; resumed, started, called
  }
  EXPECT_THAT(endpoint_.requests(), SizeIs(1)) << "the UNSAFE call was sent once, by the server that is gone";

  // The original is as it was, and goes on.
  ASSERT_NO_FATAL_FAILURE(server_.Start());
  const Stubs stubs(server_.Connect());
  EXPECT_EQ(StoreId(stubs), id);
  EXPECT_TRUE(List(stubs, token).ok());
}

// The copy does not know what either did since; the child answers its parent and nobody else, so it is not resumed.
TEST_F(RestoredServerTest, AChildThatWasUnfinishedEndsAndItsParentIsHeld) {
  ASSERT_NO_FATAL_FAILURE(server_.Start());
  std::string parent;
  v1::GetRunRequest child;
  {
    const Stubs stubs(server_.Connect());
    parent = Create(stubs, Submit("delegate"))->name();
    AwaitEvents(stubs, parent, 5);  // to the call_started
    v1::GetStepRequest get;
    get.set_name(absl::StrCat(parent, "/steps/1"));
    child.set_name(Call(stubs.run, &v1::RunService::Stub::GetStep, get)->tool_calls(0).child_run());
    AwaitRun(stubs, child.name());
    AwaitEvents(stubs, child.name(), 3);  // its model was asked
  }
  server_.Kill();
  Copy();

  ASSERT_NO_FATAL_FAILURE(restored_.Start({"--restored"}));
  const Stubs stubs(restored_.Connect());
  ExpectHeld(stubs, parent);
  const auto ended = AwaitStop(stubs, child.name());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state(), v1::RUN_STATE_STOPPED);
  EXPECT_FALSE(ended->stop().resumable());
  ASSERT_TRUE(Resume(stubs, parent).ok());
  const auto resumed = AwaitStop(stubs, parent);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(resumed->answer(0).text(), "without it");
  EXPECT_EQ(Call(stubs.run, &v1::RunService::Stub::GetRun, child)->last_sequence(), ended->last_sequence()) << "nothing of it goes on";
}

TEST_F(RestoredServerTest, NothingIsMadeWhereARestoredStoreIsMissing) {
  const Ended ended = RunAgentd(restored_.folder(), {"--config", "agentd.yaml", "--restored"});
  EXPECT_EQ(ended.exit_code, 74);
  EXPECT_THAT(ended.err, HasSubstr("data/agentd.db: is to be a restored store, and there is none; check the path, or start without --restored"));
  EXPECT_FALSE(std::filesystem::exists(restored_.File("data/agentd.db")));
}

TEST_F(RestoredServerTest, ALogBesideTheCopyIsWarnedOf) {
  ASSERT_NO_FATAL_FAILURE(server_.Start());
  ASSERT_TRUE(Create(Stubs(server_.Connect()), Submit("add")).ok());
  server_.Kill();
  Copy();
  ASSERT_TRUE(std::filesystem::exists(restored_.File("data/agentd.db-wal")));
  ASSERT_NO_FATAL_FAILURE(restored_.Start({"--restored"}));
  EXPECT_TRUE(restored_.WaitForLog("if the copy did not bring that, put the copy there again without it")) << restored_.Log();
}

}  // namespace
}  // namespace agentruntime::testing
