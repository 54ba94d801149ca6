// Runs that answer calls of other runs, through a real agentd: their answers, their grants, kills in the middle, cancels, and no room for both.
#include <signal.h>

#include <algorithm>
#include <set>

#include "absl/time/clock.h"
#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Stub = v1::RunService::Stub;

constexpr char kConfig[] = R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: lead, scripted: {file: lead.json}}, {name: worker, scripted: {file: worker.json}}]
agents: [tester.yaml, worker.yaml]
tools:
  - {name: calculator, calculator: {}}
  - {name: ask, sub_agent: {agent: agents/worker, description: Does one thing.}}
  - {name: briefly, timeout: 300ms, sub_agent: {agent: agents/worker, description: The same in a hurry., limits: {max_tokens: 500}}}
  - {name: again, sub_agent: {agent: agents/tester, description: This agent itself.}}
)";

constexpr char kLead[] = R"({"rules": [
  {"input_contains": "two", "steps": [
    {"calls": [{"tool": "ask", "arguments": {"input": "long one"}}, {"tool": "ask", "arguments": {"input": "long two"}}],
     "usage": {"input_tokens": 100, "output_tokens": 20}},
    {"text": ["They said {last_result}."]}]},
  {"input_contains": "hang", "steps": [{"calls": [{"tool": "ask", "arguments": {"input": "hang"}}, {"tool": "ask", "arguments": {"input": "hang"}}]}]},
  {"input_contains": "brief", "steps": [{"calls": [{"tool": "briefly", "arguments": {"input": "hang"}}]}, {"text": ["{last_result}"]}]},
  {"input_contains": "deep", "steps": [{"calls": [{"tool": "again", "arguments": {"input": "deep"}}]}, {"text": ["{last_result}"]}]},
  {"input_contains": "", "steps": [{"calls": [{"tool": "ask", "arguments": {"input": "{input}"}}]}, {"text": ["{last_result}"]}]}
]})";

constexpr char kWorker[] = R"({"rules": [
  {"input_contains": "hang", "steps": [{"delay": "30m", "text": ["late"]}]},
  {"input_contains": "long", "steps": [
    {"repeat": 20, "delay": "20ms", "calls": [{"tool": "calculator", "arguments": {"expression": "2*{step}"}}], "usage": {"input_tokens": 10, "output_tokens": 1}},
    {"text": ["done with {input}"]}]},
  {"input_contains": "fail", "steps": [{"text": ["half"], "finish_reason": "LENGTH"}]},
  {"input_contains": "", "steps": [{"text": ["worked"], "usage": {"input_tokens": 7, "output_tokens": 3}}]}
]})";

class ChildRunTest : public ::testing::Test {
 protected:
  void Begin(const std::string& more = "") {
    server_.Write("agentd.yaml", absl::StrCat(kConfig, more));
    server_.Write("tester.yaml", "name: tester\nmodel: lead\ntools: [ask, briefly, again]\n");
    server_.Write("worker.yaml", "name: worker\nmodel: worker\ntools: [calculator]\n");
    server_.Write("lead.json", kLead);
    server_.Write("worker.json", kWorker);
    Start();
  }
  void Start() {
    server_.Start();
    stubs_ = std::make_unique<Stubs>(server_.Connect());
  }
  void Restart() {
    server_.Kill();
    Start();
  }
  v1::Run Submitted(const std::string& input, int64_t max_tokens = 0) {
    v1::CreateRunRequest request = Submit(input);
    if (max_tokens > 0) request.mutable_run()->mutable_limits()->set_max_tokens(max_tokens);
    (*request.mutable_run()->mutable_labels())["team"] = "x";
    const auto run = Create(*stubs_, request);
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *run : v1::Run();
  }
  v1::Run Stopped(const std::string& name) {
    const auto run = AwaitStop(*stubs_, name);
    EXPECT_TRUE(run.ok() && run->state() == v1::RUN_STATE_STOPPED) << name << " " << run.status();
    return run.ok() ? *run : v1::Run();
  }
  v1::Run Get(const std::string& name) {
    v1::GetRunRequest request;
    request.set_name(name);
    const auto run = Call(stubs_->run, &Stub::GetRun, request);
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *run : v1::Run();
  }
  v1::Step StepOf(const v1::Run& run, int number = 1) {
    v1::GetStepRequest request;
    request.set_name(absl::StrCat(run.name(), "/steps/", number));
    const auto step = Call(stubs_->run, &Stub::GetStep, request);
    EXPECT_TRUE(step.ok()) << step.status();
    return step.ok() ? *step : v1::Step();
  }
  // The runs that answer the calls of its first step, once `count` of them have begun to work.
  std::vector<std::string> Children(const v1::Run& run, int count) {
    std::vector<std::string> children;
    AwaitEvents(*stubs_, run.name(), 4 + count - 1);  // created, started, called, decided, and a call_started each
    AwaitEvents(*stubs_, run.name(), 4 + count);
    const v1::Step step = StepOf(run);
    for (const v1::ToolCallRecord& call : step.tool_calls()) {
      children.push_back(call.child_run());
      AwaitRun(*stubs_, call.child_run());
      AwaitEvents(*stubs_, call.child_run(), 3);  // its model was asked
    }
    EXPECT_EQ(static_cast<int>(children.size()), count);
    return children;
  }
  absl::StatusOr<v1::Run> Cancel(const std::string& name) {
    v1::CancelRunRequest request;
    request.set_name(name);
    return Call(stubs_->run, &Stub::CancelRun, request);
  }
  std::set<std::string> AllRuns() {
    v1::ListRunsRequest request;
    request.set_page_size(1000);
    const auto page = Call(stubs_->run, &Stub::ListRuns, request);
    EXPECT_TRUE(page.ok()) << page.status();
    std::set<std::string> names;
    for (const v1::Run& run : page->runs()) names.insert(run.name());
    return names;
  }

  TestServer server_;
  std::unique_ptr<Stubs> stubs_;
};

TEST_F(ChildRunTest, AnswersOfChildrenAreResults) {
  Begin();
  const v1::Run run = Stopped(Submitted("two", 100'000).name());
  ASSERT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << run.stop().detail();
  EXPECT_EQ(run.answer(0).text(), "They said done with long two.");
  // 100 + 20 of its own; 20 times 11 of each child.
  EXPECT_EQ(run.usage().input_tokens() + run.usage().output_tokens(), 120 + 2 * 20 * 11);
  const v1::Step step = StepOf(run);
  ASSERT_EQ(step.tool_calls_size(), 2);
  EXPECT_EQ(step.tool_calls(0).result(0).text(), "done with long one");
  for (int i = 0; i < 2; ++i) {
    const v1::Run child = Get(step.tool_calls(i).child_run());
    EXPECT_EQ(child.parent_call(), absl::StrCat(run.name(), "/calls/1.", i + 1));
    EXPECT_EQ(child.agent(), "agents/worker/revisions/1");
    EXPECT_EQ(child.labels().at("team"), "x");
    EXPECT_EQ(child.limits().max_tokens(), (100'000 - 120) / 3);  // each child and the parent a third
    EXPECT_TRUE(child.has_deadline());
  }
  EXPECT_EQ(AllRuns().size(), 3);
}

TEST_F(ChildRunTest, AChildWithoutAnAnswerIsAnErrorThatTheModelReads) {
  Begin();
  const v1::Run run = Stopped(Submitted("fail").name());
  ASSERT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_THAT(run.answer(0).text(), StartsWith("the agent stopped without an answer: the model's answer was cut"));
  EXPECT_THAT(run.answer(0).text(), HasSubstr("What it has so far: half"));
  const v1::Step step = StepOf(run);
  EXPECT_EQ(step.tool_calls(0).outcome(), v1::CALL_OUTCOME_ERROR);
  // It was its result: it does not go on.
  const v1::Run child = Get(step.tool_calls(0).child_run());
  EXPECT_FALSE(child.stop().resumable());
  v1::ResumeRunRequest resume;
  resume.set_name(child.name());
  EXPECT_EQ(Say(Call(stubs_->run, &Stub::ResumeRun, resume).status()),
            absl::StrCat("FAILED_PRECONDITION RUN_ANSWERS_CALL: ", child.name(), " answers ", child.parent_call(),
                         ", which takes its stop as the result; resume or fork that run, or fork this one"));
}

TEST_F(ChildRunTest, KilledInTheMiddleEachChildIsThereOnce) {
  Begin();
  const v1::Run run = Submitted("two");
  const std::vector<std::string> children = Children(run, 2);
  Restart();
  const v1::Run stopped = Stopped(run.name());
  ASSERT_EQ(stopped.stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << stopped.stop().detail();
  const v1::Step step = StepOf(stopped);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(step.tool_calls(i).child_run(), children[i]);
    EXPECT_EQ(step.tool_calls(i).attempts(), 2);
    EXPECT_EQ(Get(children[i]).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  }
  EXPECT_EQ(AllRuns().size(), 3);
}

TEST_F(ChildRunTest, ACancelOfTheParentCancelsItsChildren) {
  Begin();
  const v1::Run run = Submitted("hang");
  const std::vector<std::string> children = Children(run, 2);
  ASSERT_TRUE(Cancel(run.name()).ok());
  EXPECT_EQ(Stopped(run.name()).stop().reason(), v1::STOP_REASON_CANCELLED);
  for (const std::string& name : children) {
    const v1::Run child = Stopped(name);
    EXPECT_EQ(child.stop().reason(), v1::STOP_REASON_CANCELLED);
    EXPECT_EQ(child.stop().cancellation().principal(), run.name());
  }
}

// The cancels of the children leave with the reply, so most kills find them on disk. One that does not is made by tests/crash/orphans_test.cc.
TEST_F(ChildRunTest, AKillBehindTheCancelLeavesNoChildThatGoesOn) {
  Begin();
  const v1::Run run = Submitted("hang");
  const std::vector<std::string> children = Children(run, 2);
  ASSERT_TRUE(Cancel(run.name()).ok());
  Restart();
  EXPECT_EQ(Stopped(run.name()).stop().reason(), v1::STOP_REASON_CANCELLED);
  for (const std::string& name : children) EXPECT_EQ(Stopped(name).stop().reason(), v1::STOP_REASON_CANCELLED);
}

TEST_F(ChildRunTest, AChildEndsByTheDeadlineOfItsCall) {
  Begin();
  const v1::Run run = Stopped(Submitted("brief").name());
  ASSERT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  const v1::Step step = StepOf(run);
  EXPECT_EQ(step.tool_calls(0).outcome(), v1::CALL_OUTCOME_ERROR);
  const v1::Run child = Stopped(step.tool_calls(0).child_run());
  EXPECT_EQ(child.stop().limit().limit(), "deadline");
  EXPECT_EQ(child.limits().max_tokens(), 500);
}

TEST_F(ChildRunTest, ADrainWaitsForNoChildAndTheNextStartGoesOn) {
  Begin();
  const v1::Run run = Submitted("two");
  const std::vector<std::string> children = Children(run, 2);
  const absl::Time began = absl::Now();
  server_.Send(SIGTERM);
  EXPECT_EQ(server_.WaitForEnd(), 0);
  EXPECT_LT(absl::Now() - began, absl::Seconds(10));  // half of drain_grace: children park between two steps, and parents do not wait for them
  Start();
  EXPECT_EQ(Stopped(run.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(AllRuns().size(), 3);
}

TEST_F(ChildRunTest, AForkSharesResultsAndNoChildren) {
  Begin();
  const v1::Run run = Stopped(Submitted("x").name());
  v1::ForkRunRequest request;
  request.set_name(run.name());
  request.set_step(1);
  const auto behind = Call(stubs_->run, &Stub::ForkRun, request);
  ASSERT_TRUE(behind.ok()) << behind.status();
  EXPECT_EQ(Stopped(behind->name()).answer(0).text(), "worked");
  EXPECT_EQ(AllRuns().size(), 3);  // the run, its child, the fork
  request.set_step(0);
  const auto denied = Call(stubs_->run, &Stub::ForkRun, request);
  ASSERT_TRUE(denied.ok()) << denied.status();
  EXPECT_EQ(StepOf(Stopped(denied->name())).tool_calls(0).outcome(), v1::CALL_OUTCOME_DENIED);
  request.set_allow_side_effects(true);
  const auto allowed = Call(stubs_->run, &Stub::ForkRun, request);
  ASSERT_TRUE(allowed.ok()) << allowed.status();
  const std::string child = StepOf(Stopped(allowed->name())).tool_calls(0).child_run();
  EXPECT_NE(child, StepOf(run).tool_calls(0).child_run());
  EXPECT_EQ(Get(child).parent_call(), absl::StrCat(allowed->name(), "/calls/1.1"));
  // A fork of a child answers nobody.
  request.set_name(child);
  const auto own = Call(stubs_->run, &Stub::ForkRun, request);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(own->parent_call(), "");
  EXPECT_EQ(Stopped(own->name()).answer(0).text(), "worked");
}

TEST_F(ChildRunTest, OneSessionIsEnoughForAParentAndItsChildren) {
  Begin("sessions: {running_max: 1}\n");
  const v1::Run first = Submitted("two");
  const v1::Run second = Submitted("two");
  EXPECT_EQ(Stopped(first.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(Stopped(second.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(AllRuns().size(), 6);
}

TEST_F(ChildRunTest, AnAgentThatCallsItselfComesToItsDepth) {
  Begin("sessions: {running_max: 1}\n");
  const v1::Run run = Stopped(Submitted("deep").name());
  ASSERT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(run.answer(0).text(), "not run: this run is 8 runs below the one that somebody submitted, and at most 8 are; answer without another agent");
  EXPECT_EQ(AllRuns().size(), 9);
}

TEST_F(ChildRunTest, TooFewTokensLeftBeginNoChild) {
  Begin();
  const v1::Run run = Stopped(Submitted("two", 800).name());
  const v1::Step step = StepOf(run);
  EXPECT_EQ(step.tool_calls(0).outcome(), v1::CALL_OUTCOME_NOT_RUN);
  EXPECT_EQ(step.tool_calls(0).result(0).text(), "not run: the run has 680 tokens left, too few for another agent");
  EXPECT_EQ(AllRuns().size(), 1);
}

TEST_F(ChildRunTest, AStoppedChildIsDeletedLikeAnyRun) {
  Begin();
  const v1::Run run = Stopped(Submitted("x").name());
  const std::string child = StepOf(run).tool_calls(0).child_run();
  v1::DeleteRunRequest request;
  request.set_name(child);
  ASSERT_TRUE(Call(stubs_->run, &Stub::DeleteRun, request).ok());
  EXPECT_EQ(StepOf(run).tool_calls(0).child_run(), child);
  EXPECT_EQ(AllRuns().size(), 1);
}

}  // namespace
}  // namespace agentruntime::testing
