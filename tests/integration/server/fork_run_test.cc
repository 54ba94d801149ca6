// ForkRun of a real server: another agent goes on from a step, nothing that is shared is done again, and a kill in between changes nothing.

#include <map>

#include "proto/util/time.h"
#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

using Stub = v1::RunService::Stub;

// The source's model asks for one sum a step; the other one answers from step 3 on, but is slow at step 4.
constexpr char kOther[] = R"({"rules": [{"input_contains": "", "steps": [
  {"text": ["never"]}, {"text": ["never"]},
  {"calls": [{"tool": "clock", "arguments": {}}]},
  {"delay": "500ms", "text": ["otherwise"]}, {"text": ["and more"]}]}]})";

class ForkRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server.Write("other.json", kOther);
    server.Write("other.yaml", "name: other\nmodel: other\ntools: [calculator, clock]\n");
    server.Write("agentd.yaml", R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: script, scripted: {file: script.json}}, {name: other, scripted: {file: other.json}}]
tools: [{name: calculator, calculator: {}}, {name: clock, clock: {}}]
agents: [tester.yaml, other.yaml]
drain_grace: 5s
)");
    server.Start();
    ASSERT_TRUE(server.running());
    stubs = std::make_unique<Stubs>(server.Connect());
  }
  // A run that stopped at four steps.
  v1::Run Source() {
    v1::CreateRunRequest request = Submit("loop");
    request.mutable_run()->mutable_limits()->set_max_steps(4);
    const auto created = Create(*stubs, request);
    EXPECT_TRUE(created.ok()) << created.status();
    const auto run = AwaitStop(*stubs, created->name());
    EXPECT_TRUE(run.ok() && run->stop().reason() == v1::STOP_REASON_MAX_STEPS) << run.status();
    return run.ok() ? *run : v1::Run();
  }
  static v1::ForkRunRequest Of(const v1::Run& run, int32_t step) {
    v1::ForkRunRequest request;
    request.set_name(run.name());
    request.set_step(step);
    return request;
  }
  absl::StatusOr<v1::Run> Fork(const v1::ForkRunRequest& request) { return Call(stubs->run, &Stub::ForkRun, request); }
  absl::Status Delete(const std::string& name) {
    v1::DeleteRunRequest request;
    request.set_name(name);
    return Call(stubs->run, &Stub::DeleteRun, request).status();
  }
  // Checks that the fork's journal is 1..n, begins with the source's events and has one decision a step.
  void CheckJournal(const v1::Run& source, const v1::Run& fork) {
    const auto shared = Watch(*stubs, source.name()).events();
    const auto events = Watch(*stubs, fork.name()).events();
    ASSERT_EQ(events.size(), static_cast<size_t>(fork.last_sequence()));
    std::map<int32_t, int> decisions;
    for (size_t i = 0; i < events.size(); ++i) {
      EXPECT_EQ(events[i].sequence(), static_cast<int64_t>(i) + 1);
      if (static_cast<int64_t>(i) < fork.forked_from().sequence()) EXPECT_EQ(events[i].SerializeAsString(), shared[i].SerializeAsString());
      if (events[i].has_decision_made()) ++decisions[events[i].step()];
    }
    EXPECT_EQ(decisions, (std::map<int32_t, int>{{1, 1}, {2, 1}, {3, 1}, {4, 1}}));
  }

  TestServer server;
  std::unique_ptr<Stubs> stubs;
};

TEST_F(ForkRunTest, AnotherAgentGoesOnFromAStep) {
  const v1::Run source = Source();
  v1::ForkRunRequest request = Of(source, 2);
  request.set_agent("agents/other");
  request.mutable_limits()->set_max_steps(9);
  (*request.mutable_labels())["try"] = "other";
  const auto forked = Fork(request);
  ASSERT_TRUE(forked.ok()) << forked.status();
  EXPECT_EQ(forked->agent(), "agents/other/revisions/1");
  EXPECT_EQ(forked->forked_from().run(), source.name());
  EXPECT_EQ(forked->labels().at("try"), "other");
  EXPECT_EQ(forked->limits().max_steps(), 9);
  const auto run = AwaitStop(*stubs, forked->name());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(run->answer(0).text(), "otherwise");
  EXPECT_EQ(run->usage().steps(), 4);
  EXPECT_EQ(run->usage().tool_calls(), 3);
  CheckJournal(source, *run);
  v1::GetStepRequest step;
  step.set_name(absl::StrCat(run->name(), "/steps/1"));
  EXPECT_EQ(Call(stubs->run, &Stub::GetStep, step)->decision().tool_calls(0).tool(), "calculator");

  EXPECT_EQ(client::DetailsOf(Delete(source.name())).reason, "RUN_HAS_FORKS");
  EXPECT_TRUE(Delete(run->name()).ok());
  EXPECT_TRUE(Delete(source.name()).ok());
}

TEST_F(ForkRunTest, IsRecoveredLikeAnyRun) {
  const v1::Run source = Source();
  v1::ForkRunRequest request = Of(source, 2);
  request.set_agent("agents/other");
  request.mutable_limits()->set_max_steps(9);
  request.set_request_id("fork-1");
  const auto forked = Fork(request);
  ASSERT_TRUE(forked.ok()) << forked.status();
  AwaitEvents(*stubs, forked->name(), forked->forked_from().sequence() + 6);  // it has decided step 3
  server.Kill();
  server.Start();
  ASSERT_TRUE(server.running());
  stubs = std::make_unique<Stubs>(server.Connect());
  EXPECT_EQ(Fork(request)->name(), forked->name());
  const auto run = AwaitStop(*stubs, forked->name());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->answer(0).text(), "otherwise");
  CheckJournal(source, *run);
  int recovered = 0;
  for (const v1::Event& event : Watch(*stubs, run->name()).events()) recovered += event.run_started().cause() == v1::START_CAUSE_RECOVERED ? 1 : 0;
  EXPECT_GE(recovered, 1);
}

TEST_F(ForkRunTest, Refuses) {
  const v1::Run source = Source();
  EXPECT_EQ(Say(Fork(Of(source, 5)).status()), absl::StrCat("NOT_FOUND STEP_NOT_FOUND: ", source.name(), " has no step 5"));
  v1::Run none;
  none.set_name(kNoRun);
  EXPECT_EQ(client::DetailsOf(Fork(Of(none, 0)).status()).reason, "RUN_NOT_FOUND");
  v1::ForkRunRequest bad = Of(source, -1);
  bad.set_agent("tester");
  bad.set_request_id(std::string(129, 'x'));
  bad.mutable_limits()->set_max_steps(0);
  const absl::Status status = Fork(bad).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  for (const char* field : {"step:", "agent:", "request_id:", "limits.max_steps:"}) {
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(field));
  }
}

}  // namespace
}  // namespace agentruntime::testing
