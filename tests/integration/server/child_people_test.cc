// Runs that answer calls of other runs, through a real agentd, where people or money come between: a child that waits for a person, a child that a person has
// to allow, and the share of a budget that one gets.
#include "tests/integration/server/fixture.h"
#include "tests/support/program.h"

namespace agentruntime::testing {
namespace {

using Stub = v1::RunService::Stub;

constexpr char kConfig[] = R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
currency_code: EUR
models:
  - {name: lead, price: {input_micros: 1_000_000, output_micros: 1_000_000}, scripted: {file: lead.json}}
  - {name: worker, price: {input_micros: 1_000_000, output_micros: 1_000_000}, scripted: {file: worker.json}}
agents: [tester.yaml, careful.yaml, worker.yaml]
tools:
  - {name: ask, sub_agent: {agent: agents/worker, description: Does one thing.}}
  - {name: question, ask_person: {}}
)";

constexpr char kLead[] = R"({"rules": [{"input_contains": "", "steps": [
  {"calls": [{"tool": "ask", "arguments": {"input": "{input}"}}], "usage": {"input_tokens": 100, "output_tokens": 0}},
  {"text": ["{last_result}"], "usage": {"input_tokens": 100, "output_tokens": 0}}]}]})";

constexpr char kWorker[] = R"({"rules": [
  {"input_contains": "doubt", "steps": [
    {"calls": [{"tool": "question", "arguments": {"question": "Which invoice?"}}], "usage": {"input_tokens": 1, "output_tokens": 0}},
    {"text": ["{last_result}"], "usage": {"input_tokens": 1, "output_tokens": 0}}]},
  {"input_contains": "", "steps": [{"text": ["worked"], "usage": {"input_tokens": 7, "output_tokens": 3}}]}]})";

class ChildPeopleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.Write("agentd.yaml", kConfig);
    server_.Write("tester.yaml", "name: tester\nmodel: lead\ntools: [ask]\n");
    server_.Write("careful.yaml", "name: careful\nmodel: lead\ntools: [ask]\napprove_tools: [ask]\n");
    server_.Write("worker.yaml", "name: worker\nmodel: worker\ntools: [question]\n");
    server_.Write("lead.json", kLead);
    server_.Write("worker.json", kWorker);
    ASSERT_NO_FATAL_FAILURE(Start());
  }
  void Start() {
    server_.Start();
    ASSERT_TRUE(server_.running());
    stubs_ = std::make_unique<Stubs>(server_.Connect());
  }
  v1::Run Created(const v1::CreateRunRequest& request) {
    const auto run = Create(*stubs_, request);
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *run : v1::Run();
  }
  // Once it stopped or waits.
  v1::Run Settled(const std::string& name, v1::RunState state) {
    const auto run = AwaitStop(*stubs_, name);
    EXPECT_TRUE(run.ok() && run->state() == state) << name << " " << run.status();
    return run.ok() ? *run : v1::Run();
  }
  std::string AnswerOf(const std::string& name) {
    const v1::Run run = Settled(name, v1::RUN_STATE_STOPPED);
    EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << run.stop().detail();
    return run.answer_size() > 0 ? run.answer(0).text() : "";
  }
  absl::StatusOr<v1::Run> Get(const std::string& name) {
    v1::GetRunRequest request;
    request.set_name(name);
    return Call(stubs_->run, &Stub::GetRun, request);
  }
  // The run that answers its call; empty where none was begun.
  std::string ChildOf(const std::string& name) {
    v1::GetStepRequest request;
    request.set_name(absl::StrCat(name, "/steps/1"));
    const auto step = Call(stubs_->run, &Stub::GetStep, request);
    EXPECT_TRUE(step.ok() && step->tool_calls_size() == 1) << step.status();
    return step.ok() && step->tool_calls_size() == 1 ? step->tool_calls(0).child_run() : "";
  }
  absl::Status Resolve(const std::string& name, v1::CallAnswer answer) {
    v1::ResolveCallRequest request;
    request.set_name(name);
    request.set_call_id("1.1");
    *request.mutable_answer() = std::move(answer);
    return Call(stubs_->run, &Stub::ResolveCall, request).status();
  }

  TestServer server_;
  std::unique_ptr<Stubs> stubs_;
};

TEST_F(ChildPeopleTest, AChildThatWaitsForAPersonIsAwaitedAcrossAKill) {
  const std::string run = Created(Submit("doubt")).name();
  AwaitEvents(*stubs_, run, 5);  // created, started, called, decided, call_started
  const std::string child = ChildOf(run);
  AwaitRun(*stubs_, child);
  EXPECT_EQ(Settled(child, v1::RUN_STATE_WAITING).waiting_calls(0).text(), "Which invoice?");
  // Nothing of it is in the parent's journal; whoever looks at the parent is told all the same.
  const std::string bare = child.substr(std::string("runs/").size());
  Program show(AGENTCTL, {"show", run}, {.variables = {{"AGENTRUNTIME_SERVER", server_.address()}}});
  EXPECT_EQ(show.Wait(), 0) << show.err();
  EXPECT_THAT(show.out(), ::testing::ContainsRegex("child run " + bare + " waits for a person: .*agentctl show " + bare));
  server_.Kill();
  ASSERT_NO_FATAL_FAILURE(Start());
  AwaitEvents(*stubs_, run, 7);  // run_started, call_started: the second attempt
  EXPECT_EQ(Get(run)->state(), v1::RUN_STATE_RUNNING);
  Settled(child, v1::RUN_STATE_WAITING);
  v1::CallAnswer answer;
  answer.mutable_result()->add_parts()->set_text("the second one");
  ASSERT_TRUE(Resolve(child, answer).ok());
  EXPECT_EQ(AnswerOf(run), "the second one");
}

TEST_F(ChildPeopleTest, AChildThatAPersonHasToAllowBeginsWithTheArgumentsOfThatPerson) {
  v1::CreateRunRequest request = Submit("doubt");
  request.mutable_run()->set_agent("agents/careful");
  const std::string run = Created(request).name();
  EXPECT_EQ(Settled(run, v1::RUN_STATE_WAITING).waiting_calls(0).kind(), v1::WAIT_KIND_APPROVAL);
  EXPECT_EQ(ChildOf(run), "") << "nobody allowed it";
  v1::CallAnswer answer;
  answer.mutable_allow()->set_arguments(R"({"input":"no more"})");
  ASSERT_TRUE(Resolve(run, answer).ok());
  EXPECT_THAT(AnswerOf(run), ::testing::StartsWith("worked\n[a person changed the arguments"));
  EXPECT_EQ(Get(ChildOf(run))->input(0).text(), "no more");
}

TEST_F(ChildPeopleTest, AChildHasItsShareOfTheMoneyAndWhatItUsedIsItsParents) {
  v1::CreateRunRequest request = Submit("add");
  request.mutable_run()->mutable_limits()->set_max_cost_micros(10'000);
  const std::string run = Created(request).name();
  EXPECT_EQ(AnswerOf(run), "worked");
  const auto child = Get(ChildOf(run));
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(child->limits().max_cost_micros(), (10'000 - 100) / 2);
  EXPECT_EQ(child->usage().cost_micros(), 10);
  EXPECT_EQ(Get(run)->usage().cost_micros(), 100 + 10 + 100);
}

// A child is newer than the run that somebody submitted.
TEST_F(ChildPeopleTest, LastIsTheRunThatSomebodySubmitted) {
  const v1::Run run = Created(Submit("do it"));
  Settled(run.name(), v1::RUN_STATE_STOPPED);
  Program program(AGENTCTL, {"show", "last"}, {.variables = {{"AGENTRUNTIME_SERVER", server_.address()}}});
  EXPECT_EQ(program.Wait(), 0) << program.err();
  EXPECT_EQ(program.out().substr(0, run.name().size()), run.name());
}

}  // namespace
}  // namespace agentruntime::testing
