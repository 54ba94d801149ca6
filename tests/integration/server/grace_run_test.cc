// The grace step of a real server: an answer from what there is, and a run that goes on once its limit is raised.
#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

class GraceRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server.Write("tester.yaml", "name: tester\nmodel: script\ntools: [calculator]\ngrace_step: true\n");
    server.Write("script.json", R"({"rules": [{"input_contains": "", "steps": [
      {"calls": [{"tool": "calculator", "arguments": {"expression": "1+1"}}]},
      {"text": ["so far it is 2"]},
      {"text": ["it is 2"]}]}]})");
    server.Start();
    ASSERT_TRUE(server.running());
  }
  TestServer server;
};

TEST_F(GraceRunTest, TheLimitStopsWithAnAnswerAndARaiseGoesOn) {
  const Stubs stubs(server.Connect());
  v1::CreateRunRequest request = Submit("add");
  request.mutable_run()->mutable_limits()->set_max_steps(1);
  const auto created = Create(stubs, request);
  ASSERT_TRUE(created.ok()) << created.status();
  auto run = AwaitStop(stubs, created->name());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_MAX_STEPS);
  ASSERT_EQ(run->answer_size(), 1);
  EXPECT_EQ(run->answer(0).text(), "so far it is 2");
  EXPECT_EQ(run->usage().steps(), 2);
  int graces = 0;
  for (const v1::Event& event : Watch(stubs, run->name()).events()) graces += event.model_called().grace_step() ? 1 : 0;
  EXPECT_EQ(graces, 1);

  v1::ResumeRunRequest resume;
  resume.set_name(run->name());
  resume.mutable_limits()->set_max_steps(5);
  const auto resumed = Call(stubs.run, &v1::RunService::Stub::ResumeRun, resume);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  run = AwaitStop(stubs, run->name());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(run->answer(0).text(), "it is 2");
}

}  // namespace
}  // namespace agentruntime::testing
