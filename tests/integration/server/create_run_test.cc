#include <fstream>
#include <functional>

#include "tests/integration/server/fixture.h"
#include "tests/support/raw_call.h"

namespace agentruntime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class CreateRunTest : public SharedServer {};

TEST_F(CreateRunTest, ARunIsAcceptedWithItsEffectiveValues) {
  v1::CreateRunRequest request = Submit("add, please");
  request.mutable_run()->mutable_limits()->set_max_steps(7);
  (*request.mutable_run()->mutable_labels())["team"] = "blue";
  const auto run = Create(stubs(), request);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_THAT(run->name(), StartsWith("runs/"));
  EXPECT_EQ(run->agent(), "agents/tester/revisions/1");
  EXPECT_EQ(run->title(), "add, please");
  EXPECT_EQ(run->limits().max_steps(), 7);
  EXPECT_EQ(run->limits().max_tool_calls(), 100);
  EXPECT_EQ(run->limits().timeout().seconds(), 600);
  EXPECT_EQ(run->labels().at("team"), "blue");
  EXPECT_GE(run->last_sequence(), 1);
  EXPECT_EQ(run->create_time().seconds(), run->create_time().seconds());

  const auto stopped = AwaitStop(stubs(), run->name());
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->state(), v1::RUN_STATE_STOPPED);
  EXPECT_EQ(stopped->stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  ASSERT_EQ(stopped->answer_size(), 1);
  EXPECT_EQ(stopped->answer(0).text(), "It is 2.");
  EXPECT_EQ(stopped->usage().steps(), 2);
  EXPECT_EQ(stopped->usage().tool_calls(), 1);
}

TEST_F(CreateRunTest, BadInputGetsACanonicalCodeTheFieldAndWhatToDo) {
  using Change = std::function<void(v1::CreateRunRequest&)>;
  const struct {
    Change change;
    const char* answer;
  } kCases[] = {
      {[](auto& r) { r.clear_run(); }, "INVALID_ARGUMENT INVALID_FIELD: run: is missing; give a run with agent and input"},
      {[](auto& r) { r.mutable_run()->clear_agent(); }, "INVALID_ARGUMENT INVALID_FIELD: run.agent: is missing; name an agent, agents/{agent}"},
      {[](auto& r) { r.mutable_run()->set_agent("tester"); },
       "INVALID_ARGUMENT INVALID_FIELD: run.agent: is not the name of an agent, agents/{agent} or agents/{agent}/revisions/{revision}; take it from "
       "ListAgents"},
      {[](auto& r) { r.mutable_run()->set_agent("agents/nobody"); },
       "NOT_FOUND AGENT_NOT_FOUND: there is no agents/nobody; ListAgents (agentctl agents) names those there are"},
      {[](auto& r) { r.mutable_run()->set_agent("agents/tester/revisions/99"); },
       "NOT_FOUND AGENT_NOT_FOUND: there is no agents/tester/revisions/99; ListAgents (agentctl agents) names those there are"},
      {[](auto& r) { r.mutable_run()->clear_input(); }, "INVALID_ARGUMENT INVALID_FIELD: run.input: give at least one text"},
      {[](auto& r) { r.mutable_run()->mutable_input(0)->set_text("  "); }, "INVALID_ARGUMENT INVALID_FIELD: run.input: give at least one text"},
      {[](auto& r) { r.mutable_run()->mutable_input(0)->set_json("{"); }, "INVALID_ARGUMENT INVALID_FIELD: run.input[0].json: is not JSON: error at byte 2"},
      {[](auto& r) { r.mutable_run()->mutable_input(0)->set_text(std::string(300'000, 'x')); },
       "INVALID_ARGUMENT INVALID_FIELD: run.input: 300004 bytes are too many; at most 262144"},
      {[](auto& r) { r.mutable_run()->mutable_limits()->set_max_steps(-1); }, "INVALID_ARGUMENT INVALID_FIELD: run.limits.max_steps: -1 is below 1"},
      {[](auto& r) { r.mutable_run()->mutable_limits()->set_max_steps(10'001); },
       "INVALID_ARGUMENT INVALID_FIELD: run.limits.max_steps: 10001 is above this server's maximum of 10000"},
      {[](auto& r) { r.mutable_run()->mutable_limits()->mutable_timeout()->set_seconds(-5); },
       "INVALID_ARGUMENT INVALID_FIELD: run.limits.timeout: -5s is below 1ms"},
      {[](auto& r) { r.mutable_run()->mutable_limits()->mutable_timeout()->set_seconds(INT64_MAX); },
       "INVALID_ARGUMENT INVALID_FIELD: run.limits.timeout: is not a valid duration: seconds and nanos must be in range and of one sign"},
      {[](auto& r) { r.mutable_run()->set_state(v1::RUN_STATE_STOPPED); }, "INVALID_ARGUMENT INVALID_FIELD: run.state: is set by the server; leave it out"},
      {[](auto& r) { (*r.mutable_run()->mutable_labels())["No"] = ""; },
       "INVALID_ARGUMENT INVALID_FIELD: run.labels: key \"No\" is not 1-63 characters of [a-z0-9_.-/] that begin with a letter"},
      {[](auto& r) { r.set_request_id(std::string(129, 'x')); },
       "INVALID_ARGUMENT INVALID_FIELD: request_id: is not 1-128 printable ASCII characters; shorten or hash your key"},
      {[](auto& r) {
         r.mutable_run()->clear_input();
         r.mutable_run()->mutable_limits()->set_max_steps(0);
       },
       "INVALID_ARGUMENT INVALID_FIELD: run.input: give at least one text; run.limits.max_steps: 0 is below 1"},
  };
  for (const auto& bad : kCases) {
    v1::CreateRunRequest request = Submit("add");
    bad.change(request);
    const auto run = Create(stubs(), request);
    EXPECT_EQ(Say(run.status()), bad.answer);
    // RunAgent says the same.
    v1::RunAgentRequest same;
    if (request.has_run()) *same.mutable_run() = request.run();
    same.set_request_id(request.request_id());
    grpc::ClientContext context;
    EXPECT_EQ(Say(ReadAll(*stubs().run->RunAgent(&context, same)).status), bad.answer);
  }
}

TEST_F(CreateRunTest, EveryWrongFieldIsInTheDetails) {
  v1::CreateRunRequest request = Submit("");
  request.mutable_run()->mutable_limits()->set_max_steps(0);
  const auto details = client::DetailsOf(Create(stubs(), request).status());
  ASSERT_EQ(details.violations.size(), 2u);
  EXPECT_EQ(details.violations[0].field, "run.input");
  EXPECT_EQ(details.violations[1].field, "run.limits.max_steps");
}

TEST_F(CreateRunTest, ARequestOverTheMessageLimitIsRefused) {
  const auto run = Create(stubs(), Submit(std::string(5 << 20, 'x')));
  EXPECT_EQ(run.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(run.status().message()), HasSubstr("4194304"));
  EXPECT_EQ(Answered(stubs()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(CreateRunTest, TextThatIsNotUtf8IsTheCallersFault) {
  constexpr char kMethod[] = "/agentruntime.v1.RunService/CreateRun";
  std::string bytes = Submit("SPOIL").SerializeAsString();
  bytes.replace(bytes.find("SPOIL"), 5, "\xff\xfe\xff\xfe\xff");
  EXPECT_EQ(Say(RawCall(server().Connect(), kMethod, bytes).status()),
            "INVALID_ARGUMENT INVALID_FIELD: run.input[0].text: is not valid UTF-8; send text as UTF-8");
  EXPECT_THAT(Say(RawCall(server().Connect(), kMethod, std::string(50, '\xff')).status()), StartsWith("INVALID_ARGUMENT INVALID_FIELD: request: is not a "));
}

TEST_F(CreateRunTest, TheSameRequestIdIsTheSameRun) {
  v1::CreateRunRequest request = Submit("add", "job 1");
  for (int i = 0; i < 32; ++i) (*request.mutable_run()->mutable_labels())[absl::StrCat("k", i)] = "v";
  const auto first = Create(stubs(), request);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(AwaitStop(stubs(), first->name()).ok());
  const auto again = Create(stubs(), request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->name(), first->name());
  EXPECT_EQ(again->state(), v1::RUN_STATE_STOPPED);

  // RunAgent attaches to it.
  v1::RunAgentRequest attach;
  *attach.mutable_run() = request.run();
  attach.set_request_id("job 1");
  grpc::ClientContext context;
  const Watched watched = ReadAll(*stubs().run->RunAgent(&context, attach));
  ASSERT_TRUE(watched.status.ok()) << watched.status;
  EXPECT_EQ(watched.messages.front().run().name(), first->name());
}

TEST_F(CreateRunTest, TheSameRequestIdWithOtherContentIsRefused) {
  const auto first = Create(stubs(), Submit("add", "job 2"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(Say(Create(stubs(), Submit("subtract", "job 2")).status()), absl::StrCat("ALREADY_EXISTS REQUEST_ID_REUSED: request_id: \"job 2\" was used for ",
                                                                                     first->name(), " with other content; use another id for another request"));
}

// A hash of what the server makes of a request would turn an honest retry after an upgrade into another request.
TEST(RepeatedRequestTest, ItIsTheSameRunAlsoWhenDefaultsHaveChanged) {
  TestServer server;
  server.Start();
  const auto first = Create(Stubs(server.Connect()), Submit("add", "job 1"));
  ASSERT_TRUE(first.ok()) << first.status();
  server.Kill();
  server.Write("tester.yaml", "name: tester\nmodel: script\ntools: [calculator]\nlimits: {max_tool_calls: 7}\n");
  std::ofstream(server.File("agentd.yaml"), std::ios::app) << "limits: {defaults: {max_steps: 9}}\n";
  server.Start();
  const Stubs stubs(server.Connect());
  const auto other = Create(stubs, Submit("add", "job 2"));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_NE(other->agent(), first->agent());
  EXPECT_EQ(other->limits().max_tool_calls(), 7);
  EXPECT_EQ(other->limits().max_steps(), 9);
  const auto again = Create(stubs, Submit("add", "job 1"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->name(), first->name());
  EXPECT_EQ(again->agent(), first->agent());
  EXPECT_EQ(again->limits().SerializeAsString(), first->limits().SerializeAsString()) << "as it was accepted";
}

TEST_F(CreateRunTest, RunAgentStreamsTheWholeRun) {
  v1::RunAgentRequest request;
  *request.mutable_run() = Submit("add").run();
  grpc::ClientContext context;
  const Watched watched = ReadAll(*stubs().run->RunAgent(&context, request));
  ASSERT_TRUE(watched.status.ok()) << watched.status;
  ASSERT_TRUE(watched.messages.front().has_run());
  EXPECT_THAT(watched.messages.front().run().name(), StartsWith("runs/"));
  const auto events = watched.events();
  ASSERT_FALSE(events.empty());
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].sequence(), static_cast<int64_t>(i) + 1);
  EXPECT_TRUE(events.front().has_run_created());
  EXPECT_TRUE(events.back().has_run_stopped());
  ASSERT_TRUE(watched.messages.back().has_run());
  EXPECT_EQ(watched.messages.back().run().state(), v1::RUN_STATE_STOPPED);
  EXPECT_EQ(watched.messages.back().run().last_sequence(), events.back().sequence());
}

}  // namespace
}  // namespace agentruntime::testing
