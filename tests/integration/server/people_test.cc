// People in the loop of a real agentd: approvals, questions, and a model that goes in circles; by agentctl, as a person types it, and across a kill.
#include "tests/integration/server/fixture.h"
#include "tests/support/http_server.h"
#include "tests/support/program.h"

namespace agentruntime::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int kUsage = 2;  // agentctl's exits
constexpr int kWaiting = 6;
constexpr int kStoppedByLimit = 3;
const std::string kNote = std::string(2'000, 'x') + " to the end";  // longer than what a run itself has of a call that waits

class PeopleTest : public ::testing::Test {
 protected:
  PeopleTest() {
    server_.Write("agentd.yaml", absl::StrCat(R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: script, scripted: {file: script.json}}]
agents: [tester.yaml]
tools:
  - name: charge
    http_call:
      url: )",
                                              endpoint_.Url("/charge"), R"(
      description: Charges a customer's card.
      input_schema: '{"type":"object","properties":{"cents":{"type":"integer"},"note":{"type":"string"}},"required":["cents"],"additionalProperties":false}'
  - {name: ask, ask_person: {}}
  - {name: calculator, calculator: {}}
)"));
    server_.Write("tester.yaml", "name: tester\nmodel: script\ntools: [charge, ask, calculator]\napprove_tools: [charge]\nlimits: {max_repeats: 4}\n");
    server_.Write("script.json", absl::StrCat(R"({"rules": [
      {"input_contains": "much", "steps": [{"calls": [{"tool": "charge", "arguments": {"cents": 100, "note": ")",
                                              kNote, R"("}}]}, {"text": ["{last_result}"]}]},
      {"input_contains": "wordy", "steps": [{"calls": [{"tool": "ask", "arguments": {"question": ")",
                                              kNote, R"("}}]}, {"text": ["{last_result}"]}]},
      {"input_contains": "charge", "steps": [{"calls": [{"tool": "charge", "arguments": {"cents": 100}}]}, {"text": ["{last_result}"]}]},
      {"input_contains": "ask", "steps": [{"calls": [{"tool": "ask", "arguments": {"question": "Which invoice?"}}]}, {"text": ["{last_result}"]}]},
      {"input_contains": "circle", "steps": [{"repeat": 1000, "calls": [{"tool": "calculator", "arguments": {"expression": "1+1"}}]}]}]})"));
    server_.Start();
  }

  // A run that waits.
  v1::Run Waiting(const std::string& input) {
    const Stubs stubs(server_.Connect());
    const auto created = Create(stubs, Submit(input));
    EXPECT_TRUE(created.ok()) << created.status();
    auto run = created.ok() ? AwaitStop(stubs, created->name()) : created;
    EXPECT_TRUE(run.ok() && run->state() == v1::RUN_STATE_WAITING && run->waiting_calls_size() == 1) << run.status();
    return run.ok() ? *run : v1::Run();
  }
  std::string AnswerOf(const v1::Run& run) {
    const auto stopped = AwaitStop(Stubs(server_.Connect()), run.name());
    EXPECT_TRUE(stopped.ok() && stopped->stop().reason() == v1::STOP_REASON_FINAL_ANSWER) << stopped.status();
    return stopped.ok() && stopped->answer_size() > 0 ? stopped->answer(0).text() : "";
  }
  Ended Agentctl(const std::vector<std::string>& arguments) {
    Program program(AGENTCTL, arguments, {.variables = {{"AGENTRUNTIME_SERVER", server_.address()}}});
    const int code = program.Wait();
    return {code, program.out(), program.err()};
  }
  absl::Status Resolve(const v1::Run& run, v1::CallAnswer answer) {
    v1::ResolveCallRequest request;
    request.set_name(run.name());
    request.set_call_id("1.1");
    *request.mutable_answer() = std::move(answer);
    return Call(Stubs(server_.Connect()).run, &v1::RunService::Stub::ResolveCall, request).status();
  }

  HttpServer endpoint_{[](const ServedRequest& request, HttpServer::Connection& c) { c.Answer(200, absl::StrCat("charged ", request.body)); }};
  TestServer server_;
};

TEST_F(PeopleTest, AnApprovalSurvivesAKillAndTheToolRunsOnce) {
  const v1::Run run = Waiting("charge");
  EXPECT_EQ(run.waiting_calls(0).text(), R"(may this call be made? charge {"cents":100})");
  server_.Kill();
  EXPECT_THAT(endpoint_.requests(), SizeIs(0)) << "nobody allowed it";
  server_.Start();
  const Ended approved = Agentctl({"approve", run.name(), "1.1"});
  EXPECT_EQ(approved.exit_code, 0) << approved.err;
  EXPECT_THAT(approved.out, HasSubstr("call 1.1 allowed; "));
  EXPECT_EQ(AnswerOf(run), R"(charged {"cents":100})");
  ASSERT_THAT(endpoint_.requests(), SizeIs(1));
  EXPECT_EQ(endpoint_.requests()[0].body, R"({"cents":100})");
}

TEST_F(PeopleTest, ArgumentsOfAPersonAreSent) {
  const v1::Run run = Waiting("charge");
  const Ended refused = Agentctl({"approve", run.name(), "1.1", "--arguments", R"({"cents":"many"})"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("INVALID_ARGUMENT: answer.allow.arguments: /cents"));
  EXPECT_EQ(Agentctl({"approve", run.name(), "1.1", "--arguments", ""}).exit_code, 2);
  EXPECT_EQ(Agentctl({"approve", run.name(), "1.1", "--arguments", R"({"cents":50})"}).exit_code, 0);
  EXPECT_THAT(AnswerOf(run), HasSubstr(R"(charged {"cents":50})"));
  ASSERT_THAT(endpoint_.requests(), SizeIs(1));
  EXPECT_EQ(endpoint_.requests()[0].body, R"({"cents":50})");
  EXPECT_THAT(Agentctl({"steps", run.name()}).out, HasSubstr(R"(charge {"cents":50})"));
  EXPECT_THAT(Agentctl({"events", run.name()}).out, HasSubstr(R"(call 1.1 answered by local: allowed with {"cents":50})"));
  EXPECT_THAT(Agentctl({"watch", run.name()}).out, HasSubstr(R"(call 1.1 allowed with {"cents":50})"));
}

TEST_F(PeopleTest, ADeniedCallIsNotMade) {
  const v1::Run run = Waiting("charge");
  const Ended denied = Agentctl({"deny", run.name(), "1.1", "--reason", "paid already"});
  EXPECT_EQ(denied.exit_code, 0) << denied.err;
  EXPECT_EQ(AnswerOf(run), "denied: a person refused this call: paid already");
  EXPECT_THAT(endpoint_.requests(), SizeIs(0));
}

TEST_F(PeopleTest, AQuestionIsAnsweredAsTheRunSays) {
  const Ended asked = Agentctl({"run", "tester", "ask"});
  EXPECT_EQ(asked.exit_code, kWaiting) << asked.err;
  EXPECT_THAT(asked.err, HasSubstr("call 1.1 waits for a person until "));
  EXPECT_THAT(asked.err, HasSubstr("Which invoice?"));
  const std::string command = " answer ";
  const size_t at = asked.err.find(command);
  ASSERT_NE(at, std::string::npos) << asked.err;
  const std::string run = asked.err.substr(at + command.size(), 26);
  const Ended answered = Agentctl({"answer", run, "1.1", "the second one"});
  EXPECT_EQ(answered.exit_code, 0) << answered.err;
  const Ended watched = Agentctl({"watch", run});
  EXPECT_EQ(watched.exit_code, 0);
  EXPECT_THAT(watched.out, HasSubstr("\n  the second one\n"));
}

TEST_F(PeopleTest, WhoeverAnswersSeesAllOfIt) {
  const std::string call = absl::StrCat(R"(may this call be made? charge {"cents":100,"note":")", kNote, "\"}\n");
  const Ended asked = Agentctl({"run", "tester", "much"});
  EXPECT_EQ(asked.exit_code, kWaiting) << asked.err;
  EXPECT_THAT(asked.err, HasSubstr(call));
  EXPECT_THAT(Agentctl({"watch", "last"}).err, HasSubstr(call));
  EXPECT_THAT(Agentctl({"show", "last"}).out, HasSubstr(call));
  EXPECT_THAT(Agentctl({"run", "tester", "wordy"}).err, HasSubstr(absl::StrCat(kNote, "\n")));
}

TEST_F(PeopleTest, ALiveViewShowsWhatIsAskedOnceAndGoesOn) {
  Program live(AGENTCTL, {"run", "tester", "much"}, {.variables = {{"AGENTRUNTIME_SERVER", server_.address()}, {"TERM", "xterm"}}, .terminal = true});
  ASSERT_TRUE(live.ReadUntil("[--reason WHY]\r\n")) << live.out();
  Program late(AGENTCTL, {"watch", "last", "--after", "5"}, {.variables = {{"AGENTRUNTIME_SERVER", server_.address()}, {"TERM", "xterm"}}, .terminal = true});
  ASSERT_TRUE(late.ReadUntil("[--reason WHY]\r\n")) << "its event came before: " << late.out();
  EXPECT_EQ(Agentctl({"approve", "last", "1.1"}).exit_code, 0);
  EXPECT_EQ(live.Wait(), 0);
  EXPECT_EQ(late.Wait(), 0);
  for (const Program* each : {&live, &late}) {
    const std::vector<std::string> parts = absl::StrSplit(each->out(), absl::StrCat(kNote, "\"}\r\n    "));
    ASSERT_THAT(parts, SizeIs(2)) << each->out();
    EXPECT_THAT(parts[1], ContainsRegex("^[^ ]*agentctl approve [0-9a-z]{26} 1.1 .*\r\n    [^ ]*agentctl deny [0-9a-z]{26} 1.1 "));
  }
}

TEST_F(PeopleTest, AnAnswerOfAnotherKindIsRefused) {
  const v1::Run charge = Waiting("charge");
  v1::CallAnswer answer;
  answer.mutable_run_again();
  EXPECT_EQ(Say(Resolve(charge, answer)), absl::StrCat("FAILED_PRECONDITION ANSWER_UNFIT: answer: call 1.1 of ", charge.name(),
                                                       " waits for leave to be started; give allow, deny or result"));
  answer.mutable_deny()->set_reason(std::string(1025, 'x'));
  EXPECT_EQ(Say(Resolve(charge, answer)), "INVALID_ARGUMENT INVALID_FIELD: answer.deny.reason: 1025 bytes are too many; at most 1024");
  answer.mutable_allow()->set_arguments(std::string((256 << 10) + 1, ' '));
  EXPECT_EQ(Say(Resolve(charge, answer)), "INVALID_ARGUMENT INVALID_FIELD: answer.allow.arguments: 262145 bytes are too many; at most 262144");
  const v1::Run ask = Waiting("ask");
  answer.mutable_allow()->clear_arguments();
  EXPECT_EQ(Say(Resolve(ask, answer)), absl::StrCat("FAILED_PRECONDITION ANSWER_UNFIT: answer: call 1.1 of ", ask.name(),
                                                    " waits for the answer to its question; give result or give_up"));
  const Ended mistaken = Agentctl({"answer", charge.name(), "1.1", "yes"});
  EXPECT_EQ(mistaken.exit_code, kUsage) << "it would be taken for the result of a call that was not made";
  EXPECT_THAT(mistaken.err, ContainsRegex("^agentctl: call 1.1 asks no question, it waits for approval; .*\n  [^ ]*agentctl approve [0-9a-z]{26} 1.1 .*\n"
                                          "  [^ ]*agentctl deny [0-9a-z]{26} 1.1 .*\n  [^ ]*agentctl resolve [0-9a-z]{26} 1.1 --result TEXT "));
  EXPECT_EQ(Agentctl({"resolve", charge.name(), "1.1", "--result", "charged by hand"}).exit_code, 0) << "any call may be given its result";
  EXPECT_EQ(AnswerOf(charge), "charged by hand");
}

TEST_F(PeopleTest, AModelThatGoesInCirclesIsStopped) {
  const Ended circling = Agentctl({"run", "tester", "circle"});
  EXPECT_EQ(circling.exit_code, kStoppedByLimit) << circling.out;
  EXPECT_THAT(circling.out, HasSubstr("LOOP_DETECTED"));
  EXPECT_THAT(circling.out, HasSubstr("the model asked for the same calls and read the same results 4 times in a row, the limit is 4"));
  EXPECT_THAT(Agentctl({"resume", "last"}).err, HasSubstr("--max-repeats: "));
  const Ended longer = Agentctl({"resume", "last", "--max-repeats", "6"});
  EXPECT_EQ(longer.exit_code, kStoppedByLimit);
  EXPECT_THAT(longer.out, HasSubstr("6 times in a row"));
  EXPECT_THAT(Agentctl({"resume", "last", "--input", "try otherwise"}).out, HasSubstr("LOOP_DETECTED")) << "it began anew, and went in circles again";
  const auto steps = Call(Stubs(server_.Connect()).run, &v1::RunService::Stub::ListRuns, v1::ListRunsRequest());
  ASSERT_TRUE(steps.ok() && steps->runs_size() == 1) << steps.status();
  EXPECT_EQ(steps->runs(0).usage().steps(), 12);
}

}  // namespace
}  // namespace agentruntime::testing
