// Calls that a person's word comes before, and questions to a person: the pure rules over journals built by hand, and the whole runtime.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/ask.h"
#include "runtime/commands.h"
#include "runtime/context.h"
#include "runtime/idempotency.h"
#include "runtime/shortening.h"
#include "runtime/steps.h"
#include "runtime/view.h"
#include "tests/support/call_answers.h"
#include "tests/unit/runtime/journal_fixture.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Allow;
using testing::Answer;
using testing::Calls;
using testing::Deny;
using testing::Done;
using testing::FakeTool;
using testing::GiveUp;
using ::testing::HasSubstr;
using testing::Immediately;
using testing::Journal;
using testing::JournalTest;
using testing::Result;
using testing::RunAgain;
using testing::RuntimeTest;
using testing::TestRuntime;

// The agent's `pay` and `keep` need a person's word; `ask` asks one.
class ApprovalTest : public JournalTest {
 protected:
  ApprovalTest() {
    ask->mutable_spec().asks_person = true;
    plan = testing::MakePlan(model, {safe, pay, keep, ask});
    plan->tools.at("pay").check = [](absl::string_view arguments) {
      return arguments == "bad" ? absl::InvalidArgumentError("/amount: is missing") : absl::OkStatus();
    };
    auto asking = std::make_shared<v1::Agent>(*plan->agent);
    for (const char* tool : {"pay", "keep", "ask"}) asking->add_approve_tools(tool);
    asking->set_on_uncertain_call(v1::UNCERTAIN_CALL_ACTION_ASK);
    plan->agent = std::move(asking);
  }
  void Ask(Journal& journal, const std::vector<std::pair<std::string, std::string>>& calls) {
    Decide(journal, Calls(calls));
    journal.Settle(*plan);
  }
  absl::Status Resolve(Journal& journal, v1::CallAnswer answer, int32_t index = 1) {
    RETURN_IF_ERROR(CheckResolve(journal.state, *plan, {1, index}, answer));
    Resolution resolution;
    resolution.answer = std::move(answer);
    resolution.principal = "ann";
    journal.AddAll(FactsOfAnswer(Call(journal, index), std::move(resolution)));
    journal.Settle(*plan);
    return absl::OkStatus();
  }
  void End(Journal& journal, ToolOutcome outcome, int32_t index = 1) {
    JournalTest::End(journal, index, std::move(outcome));
    journal.Settle(*plan);
  }
  static const CallState& Call(const Journal& journal, int32_t index = 1) { return *journal.state.FindCall({1, index}); }
  static const v1::CallFinished& Finished(const Journal& journal, int32_t index = 1) { return Call(journal, index).finished->call_finished(); }
  static std::vector<v1::CallStarted> Starts(const Journal& journal) {
    std::vector<v1::CallStarted> starts;
    for (const EventPtr& event : journal.events) {
      if (event->has_call_started()) starts.push_back(event->call_started());
    }
    return starts;
  }
  // What the model reads of the first call.
  std::string Read(const Journal& journal) {
    MessageHistory history;
    std::string text;
    for (const ModelMessage& message : history.Of(journal.state, *plan)) {
      const auto* const result = std::get_if<ToolMessage>(&message);
      if (result == nullptr || result->call_index > 0) continue;
      for (const v1::Part& part : result->finished->result()) absl::StrAppend(&text, part.text(), "|");
    }
    return text;
  }
  static void Cancel(Journal& journal) {
    v1::Event cancel;
    *cancel.mutable_cancel_requested()->mutable_grace() = ToProto(kCancelGrace);
    journal.Add(std::move(cancel));
  }

  std::shared_ptr<FakeTool> pay = std::make_shared<FakeTool>("pay", v1::SIDE_EFFECT_UNSAFE);
  std::shared_ptr<FakeTool> keep = std::make_shared<FakeTool>("keep", v1::SIDE_EFFECT_IDEMPOTENT);
  std::shared_ptr<FakeTool> ask = std::make_shared<FakeTool>("ask", v1::SIDE_EFFECT_READ_ONLY);
};

TEST_F(ApprovalTest, ACallWaitsBeforeItsFirstAttempt) {
  Journal journal;
  Ask(journal, {{"pay", R"({"to":"bob","amount":5})"}});
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_WAITING);
  EXPECT_TRUE(Starts(journal).empty());
  const v1::CallWaiting& waiting = Call(journal).waiting->call_waiting();
  EXPECT_EQ(waiting.kind(), v1::WAIT_KIND_APPROVAL);
  EXPECT_EQ(waiting.text(), R"(may this call be made? pay {"to":"bob","amount":5})");
  EXPECT_EQ(waiting.rule(), "approve_tools");
  EXPECT_EQ(waiting.arguments_hash(), ArgumentsHash("pay", R"({ "amount": 5, "to": "bob" })")) << "however they are written";
  EXPECT_NE(waiting.arguments_hash(), ArgumentsHash("pay", R"({"amount":6,"to":"bob"})"));
  EXPECT_NE(waiting.arguments_hash(), ArgumentsHash("keep", R"({"amount":5,"to":"bob"})"));
  EXPECT_EQ(FromProto(waiting.expire_time()), journal.now + absl::Hours(24));
  EXPECT_TRUE(waiting.default_answer().has_deny());
  const v1::Run run = RunOf(journal.state);
  ASSERT_EQ(run.waiting_calls_size(), 1);
  EXPECT_EQ(run.waiting_calls(0).kind(), v1::WAIT_KIND_APPROVAL);
}

TEST_F(ApprovalTest, WhatIsAllowedIsStartedAndNobodyIsAskedAgain) {
  Journal journal;
  Ask(journal, {{"keep", R"({"n":1})"}});
  ASSERT_TRUE(Resolve(journal, Allow()).ok());
  ASSERT_EQ(Starts(journal).size(), 1u);
  EXPECT_TRUE(Starts(journal)[0].arguments().empty()) << "as the model asked";
  // A definite failure that may be tried again, then a crash.
  End(journal, ToolFailed{"busy", /*retryable=*/true, std::nullopt});
  journal.now += absl::Minutes(1);
  journal.Settle(*plan);
  ASSERT_EQ(Starts(journal).size(), 2u);
  journal.epoch = 2;
  journal.Settle(*plan);
  EXPECT_EQ(Starts(journal).size(), 3u);
  EXPECT_EQ(Call(journal).phase, CallPhase::kOpen);
  for (const v1::CallStarted& start : Starts(journal)) EXPECT_EQ(start.rule(), "approve_tools") << "attempt " << start.attempt();
}

TEST_F(ApprovalTest, AnUncertainCallThatWasAllowedFollowsItsOwnRule) {
  Journal journal;
  Ask(journal, {{"pay", "{}"}});
  ASSERT_TRUE(Resolve(journal, Allow()).ok());
  End(journal, ToolUnknown{"the connection was lost"});
  EXPECT_EQ(Call(journal).waiting->call_waiting().kind(), v1::WAIT_KIND_UNCERTAIN);
  EXPECT_EQ(ReasonOf(Resolve(journal, Allow())), v1::ERROR_REASON_ANSWER_UNFIT);
  ASSERT_TRUE(Resolve(journal, RunAgain()).ok());
  ASSERT_EQ(Starts(journal).size(), 2u) << "no second approval";
  EXPECT_EQ(Starts(journal)[1].rule(), "approve_tools") << "of the first one, although a person was asked something else since";
}

TEST_F(ApprovalTest, ArgumentsOfAPersonAreUsedEverywhere) {
  Journal journal;
  const std::string given = R"({"to":"bob","amount":3})";
  Ask(journal, {{"pay", R"({"to":"bob","amount":5})"}});
  const int64_t bytes = journal.state.history_bytes;
  ASSERT_TRUE(Resolve(journal, Allow(given)).ok());
  ASSERT_EQ(Starts(journal).size(), 1u);
  EXPECT_EQ(Starts(journal)[0].arguments(), given);
  EXPECT_EQ(Starts(journal)[0].idempotency_key(), IdempotencyKey(journal.state.id, {1, 1}, "pay", given));
  const ToolRequest request = BuildToolRequest(journal.state, *plan, *journal.state.last_step(), Call(journal));
  EXPECT_EQ(request.arguments, given);
  EXPECT_EQ(request.idempotency_key, Starts(journal)[0].idempotency_key());
  End(journal, Done("paid"));
  EXPECT_EQ(Read(journal), absl::StrCat("paid|[a person changed the arguments of this call, and the result is of these: ", given, "]|"));
  EXPECT_EQ(journal.state.history_bytes, bytes + 4 + AllowedNoteBytes(Call(journal)));
  EXPECT_EQ(journal.state.history_bytes, CountContext(journal.state.history, journal.state.shortening).bytes);
  StepFolder folder(journal.state.id);
  for (const EventPtr& event : journal.events) folder.Add(*event);
  const v1::Step step = folder.Finish().at(0);
  EXPECT_EQ(step.tool_calls(0).call().arguments(), given);
  EXPECT_EQ(step.decision().tool_calls(0).arguments(), R"({"to":"bob","amount":5})") << "the decision is the model's";
}

TEST_F(ApprovalTest, ArgumentsThatDoNotFitAreRefusedAndTheCallWaitsOn) {
  Journal journal;
  Ask(journal, {{"pay", "{}"}, {"pay", "{}"}, {"pay", "{}"}});
  const absl::Status bad = Resolve(journal, Allow("bad"));
  EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(bad.message(), "answer.allow.arguments: /amount: is missing");
  // Together they are bounded: a step must fit into an answer, and the journal hold every attempt.
  const std::string large(static_cast<size_t>(kArgumentsBytesMax), 'x');
  EXPECT_TRUE(Resolve(journal, Allow(large), 1).ok());
  EXPECT_TRUE(Resolve(journal, Allow(large), 2).ok());
  EXPECT_EQ(Resolve(journal, Allow("x"), 3).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Call(journal, 3).phase, CallPhase::kWaiting);
  EXPECT_TRUE(Resolve(journal, Allow(), 3).ok());
}

TEST_F(ApprovalTest, ArgumentsCannotBeCheckedWithoutTheTool) {
  Journal journal;
  Ask(journal, {{"pay", "{}"}});
  plan->tools.erase("pay");  // not configured any more
  EXPECT_THAT(std::string(Resolve(journal, Allow("{}")).message()), HasSubstr("this server has no tool \"pay\" any more"));
  ASSERT_TRUE(Resolve(journal, Allow()).ok());
  EXPECT_EQ(Finished(journal).outcome(), v1::CALL_OUTCOME_ERROR);
}

TEST_F(ApprovalTest, ADenialIsReadByTheModel) {
  Journal journal;
  Ask(journal, {{"pay", "{}"}});
  ASSERT_TRUE(Resolve(journal, Deny("bob was paid already")).ok());
  EXPECT_EQ(Finished(journal).outcome(), v1::CALL_OUTCOME_DENIED);
  EXPECT_EQ(Finished(journal).result(0).text(), "denied: a person refused this call: bob was paid already");
  EXPECT_TRUE(Starts(journal).empty());
  EXPECT_TRUE(journal.state.model.open);
  EXPECT_EQ(journal.state.invalid_decisions, 0);
}

TEST_F(ApprovalTest, AResultInsteadOfTheCall) {
  Journal journal;
  Ask(journal, {{"pay", "{}"}});
  ASSERT_TRUE(Resolve(journal, Result("paid by hand")).ok());
  EXPECT_EQ(Finished(journal).outcome(), v1::CALL_OUTCOME_OK);
  EXPECT_TRUE(Starts(journal).empty());
}

TEST_F(ApprovalTest, NobodyAnswersAndTheCallIsDenied) {
  Journal journal;
  Ask(journal, {{"pay", "{}"}});
  journal.now += absl::Hours(24);
  journal.Settle(*plan);
  EXPECT_EQ(Finished(journal).outcome(), v1::CALL_OUTCOME_DENIED);
  EXPECT_THAT(Finished(journal).result(0).text(), HasSubstr("nobody gave it in time"));
}

TEST_F(ApprovalTest, OtherCallsOfTheStepGoOn) {
  Journal journal;
  Ask(journal, {{"pay", "{}"}, {"safe", "{}"}});
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_RUNNING);
  ASSERT_EQ(journal.WhatNext(*plan).effects.size(), 1u);
  EXPECT_EQ(Starts(journal).at(0).rule(), "") << "nobody had to be asked";
  End(journal, Done("x"), 2);
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_WAITING);
}

TEST_F(ApprovalTest, AStopSettlesWhatNobodyAllowedAsNotRun) {
  Journal journal;
  Ask(journal, {{"pay", "{}"}, {"ask", R"({"question":"?"})"}});
  Cancel(journal);
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(Finished(journal, 1).outcome(), v1::CALL_OUTCOME_NOT_RUN);
  EXPECT_EQ(Finished(journal, 2).outcome(), v1::CALL_OUTCOME_NOT_RUN);
}

TEST_F(ApprovalTest, NobodyIsAskedAboutCallsThatAreNotMadeAnyway) {
  v1::Limits limits = PublishedDefaultLimits();
  limits.set_max_tool_calls(2);
  Journal journal(limits);
  Ask(journal, {{"pay", "bad"}, {"nope", "{}"}, {"pay", "{}"}});
  EXPECT_EQ(Finished(journal, 1).outcome(), v1::CALL_OUTCOME_ERROR) << "invalid";
  EXPECT_EQ(Finished(journal, 2).outcome(), v1::CALL_OUTCOME_ERROR) << "no such tool";
  EXPECT_EQ(Finished(journal, 3).outcome(), v1::CALL_OUTCOME_NOT_RUN) << "over the limit";
  Journal fork;
  fork.state.allow_side_effects = false;
  Ask(fork, {{"pay", "{}"}});
  EXPECT_EQ(Finished(fork).outcome(), v1::CALL_OUTCOME_DENIED);
  for (const Journal* each : {&journal, &fork}) {
    for (const EventPtr& event : each->events) EXPECT_FALSE(event->has_call_waiting());
  }
}

TEST_F(ApprovalTest, AQuestionWaitsForItsAnswer) {
  Journal journal;
  const std::string question(2'000, 'w');
  Ask(journal, {{"ask", absl::StrCat(R"({"question":"Which\n invoice? )", question, "\"}")}});
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_WAITING);
  const v1::CallWaiting& waiting = Call(journal).waiting->call_waiting();
  EXPECT_EQ(waiting.kind(), v1::WAIT_KIND_QUESTION) << "though the agent names it in approve_tools";
  EXPECT_THAT(waiting.text(), ::testing::StartsWith("Which invoice? www"));
  EXPECT_EQ(waiting.text().size(), kWaitTextBytesMax);
  EXPECT_THAT(waiting.text(), ::testing::EndsWith("www ...")) << "who reads it sees that there is more";
  EXPECT_TRUE(waiting.default_answer().has_give_up());
  ASSERT_TRUE(Resolve(journal, Result("the second one")).ok());
  EXPECT_EQ(Finished(journal).outcome(), v1::CALL_OUTCOME_OK);
  EXPECT_EQ(Read(journal), "the second one|");
  EXPECT_TRUE(Starts(journal).empty());
}

// At the bound: one byte more, and it must not look whole.
TEST_F(ApprovalTest, ATextThatIsCutSaysSo) {
  const std::string sentence = "may this call be made? pay ";
  for (const size_t more : {0, 1}) {
    Journal journal;
    const std::string note(kWaitTextBytesMax - sentence.size() - 8 + more, 'w');
    const std::string arguments = absl::StrCat(R"({"a":")", note, "\"}");
    Ask(journal, {{"pay", arguments}});
    const std::string& text = Call(journal).waiting->call_waiting().text();
    EXPECT_EQ(text.size(), kWaitTextBytesMax);
    EXPECT_THAT(text, more == 0 ? ::testing::EndsWith("w\"}") : ::testing::EndsWith("w ..."));
  }
}

// The model did nothing wrong: it may ask again, and again.
TEST_F(ApprovalTest, QuestionsWithoutAnAnswerAreNoInvalidDecisions) {
  Journal journal;
  for (int32_t step = 1; step <= kInvalidDecisionsMax + 1; ++step) {
    Ask(journal, {{"ask", absl::StrCat(R"({"question":")", step, "?\"}")}});
    ASSERT_EQ(journal.state.phase, v1::RUN_STATE_WAITING) << "step " << step;
    journal.now += absl::Hours(24);
    journal.Settle(*plan);
    const CallState& call = *journal.state.FindCall({step, 1});
    EXPECT_EQ(call.finished->call_finished().outcome(), v1::CALL_OUTCOME_ERROR);
    EXPECT_THAT(call.finished->call_finished().result(0).text(), HasSubstr("nobody was there to say in time"));
  }
  EXPECT_TRUE(journal.state.model.open);
}

// The attempt that the run's stop cuts off may be harmless. The one before it was not, and nobody learnt what it did.
TEST_F(ApprovalTest, ACallThatWasRunAgainIsUncertainWhereTheRunStops) {
  Journal journal;
  Ask(journal, {{"pay", "{}"}});
  ASSERT_TRUE(Resolve(journal, Allow()).ok());
  End(journal, ToolUnknown{"the connection was lost"});
  auto declared = std::make_shared<ToolSpec>(pay->spec());
  declared->side_effect = v1::SIDE_EFFECT_IDEMPOTENT;
  plan->tools.at("pay").spec = declared;
  ASSERT_TRUE(Resolve(journal, RunAgain()).ok());
  ASSERT_EQ(Call(journal).phase, CallPhase::kOpen);
  ASSERT_EQ(Call(journal).side_effect, v1::SIDE_EFFECT_IDEMPOTENT);
  Cancel(journal);
  journal.active += kCancelGrace;
  journal.Settle(*plan);
  EXPECT_EQ(Finished(journal).outcome(), v1::CALL_OUTCOME_UNCERTAIN);
}

TEST_F(ApprovalTest, EveryKindHasItsAnswers) {
  const std::vector<std::pair<v1::WaitKind, std::string>> table = {
      {v1::WAIT_KIND_UNCERTAIN, "run_again result give_up "}, {v1::WAIT_KIND_APPROVAL, "result allow deny "}, {v1::WAIT_KIND_QUESTION, "result give_up "}};
  for (const auto& [kind, expected] : table) {
    std::string fit;
    const auto* const oneof = v1::CallAnswer::descriptor()->oneof_decl(0);
    for (int i = 0; i < oneof->field_count(); ++i) {
      if (Fits(kind, static_cast<v1::CallAnswer::KindCase>(oneof->field(i)->number()))) absl::StrAppend(&fit, oneof->field(i)->name(), " ");
    }
    EXPECT_EQ(fit, expected) << v1::WaitKind_Name(kind);
    EXPECT_FALSE(Fits(kind, v1::CallAnswer::KIND_NOT_SET));
  }
  Journal journal;
  Ask(journal, {{"pay", "{}"}, {"ask", R"({"question":"?"})"}});
  const std::string run = RunName(journal.state.id);
  for (const v1::CallAnswer& answer : {RunAgain(), GiveUp()}) {
    const absl::Status refused = Resolve(journal, answer);
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(refused.message(), absl::StrCat("answer: call 1.1 of ", run, " waits for leave to be started; give allow, deny or result"));
  }
  for (const v1::CallAnswer& answer : {RunAgain(), Allow(), Deny()}) {
    EXPECT_EQ(Resolve(journal, answer, 2).message(),
              absl::StrCat("answer: call 1.2 of ", run, " waits for the answer to its question; give result or give_up"));
  }
}

// At each cut that is the end of an append a new owner goes on, and the story ends in the same way: what was allowed stays allowed, what was not waits on.
TEST_F(ApprovalTest, EveryPrefixRecovers) {
  Journal whole;
  Ask(whole, {{"keep", "{}"}, {"pay", "{}"}, {"ask", R"({"question":"?"})"}});
  ASSERT_TRUE(Resolve(whole, Allow(R"({"n":2})"), 1).ok());
  End(whole, Done("kept"), 1);
  ASSERT_TRUE(Resolve(whole, Deny("no"), 2).ok());
  ASSERT_TRUE(Resolve(whole, Result("yes"), 3).ok());
  ASSERT_TRUE(whole.state.model.open);
  int cuts = 0;
  for (size_t cut = 1; cut <= whole.events.size(); ++cut) {
    if (cut < whole.events.size() && whole.events[cut]->has_call_finished() && !whole.events[cut - 1]->has_call_started()) continue;  // one append
    ++cuts;
    Journal journal;
    journal.events.assign(whole.events.begin(), whole.events.begin() + static_cast<ptrdiff_t>(cut));
    journal.state = RunState();
    journal.state.id = whole.state.id;
    for (const EventPtr& event : journal.events) Apply(journal.state, event);
    journal.epoch = 2;
    journal.Settle(*plan);
    if (journal.state.usage.steps() == 0) Ask(journal, {{"keep", "{}"}, {"pay", "{}"}, {"ask", R"({"question":"?"})"}});
    const auto waits = [&](int32_t index) { return Call(journal, index).phase == CallPhase::kWaiting; };
    if (waits(1)) {
      ASSERT_TRUE(Resolve(journal, Allow(R"({"n":2})"), 1).ok());
    }
    if (Call(journal, 1).phase == CallPhase::kOpen) End(journal, Done("kept"), 1);
    if (waits(2)) {
      ASSERT_TRUE(Resolve(journal, Deny("no"), 2).ok());
    }
    if (waits(3)) {
      ASSERT_TRUE(Resolve(journal, Result("yes"), 3).ok());
    }
    ASSERT_TRUE(journal.state.model.open) << "cut after " << cut;
    EXPECT_EQ(Read(journal), Read(whole)) << "cut after " << cut;
    EXPECT_EQ(journal.state.history_bytes, whole.state.history_bytes) << "cut after " << cut;
    for (const v1::CallStarted& start : Starts(journal)) EXPECT_EQ(start.arguments(), R"({"n":2})") << "cut after " << cut;
  }
  EXPECT_GE(cuts, 8);
}

// The whole runtime: the tool is local, and yet waits until the word is durable.
class ApprovalRuntimeTest : public RuntimeTest {
 protected:
  TestRuntime::Config Config() {
    auto pay = std::make_shared<FakeTool>("pay", v1::SIDE_EFFECT_UNSAFE, [this](ToolRequest request, ProgressSink&) { return Pay(std::move(request)); });
    pay->mutable_spec().input_schema = R"({"type":"object","properties":{"amount":{"type":"integer"}},"required":["amount"]})";
    TestRuntime::Config config = RuntimeTest::Config(
        [](ModelRequest request, DeltaSink&) { return Immediately(request.step == 1 ? Calls({{"pay", R"({"amount":5})"}}) : Answer("done")); },
        {std::move(pay)});
    config.agent.add_approve_tools("pay");
    return config;
  }
  asio::awaitable<ToolOutcome> Pay(ToolRequest request) {
    paid_ += request.arguments;
    co_return Done("paid");
  }
  static absl::StatusOr<v1::Run> Resolve(TestRuntime& runtime, const v1::Run& run, v1::CallAnswer answer) {
    return runtime.Await(
        runtime->ResolveCall(IdOf(run), ResolveRequest{.call = {1, 1}, .answer = std::move(answer), .request_id = "", .request_hash = ""}, Caller()));
  }

  std::string paid_;
};

TEST_F(ApprovalRuntimeTest, AnApprovalSurvivesARestart) {
  v1::Run run;
  {
    TestRuntime runtime(Config());
    run = *runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    run = *runtime.Await(runtime->GetRun(IdOf(run), absl::Seconds(60)));
    ASSERT_EQ(run.state(), v1::RUN_STATE_WAITING);
  }
  EXPECT_EQ(paid_, "");
  TestRuntime runtime(Config());
  const absl::Status unfit = Resolve(runtime, run, Allow(R"({"amount":"five"})")).status();
  EXPECT_EQ(unfit.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(unfit.message()), HasSubstr("answer.allow.arguments: /amount"));
  ASSERT_TRUE(Resolve(runtime, run, Allow(R"({"amount":3})")).ok());
  EXPECT_EQ(runtime.WaitForStop(run.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(paid_, R"({"amount":3})");
  const auto steps = runtime.Await(runtime->ListSteps(IdOf(run), {}, ReadLimit()));
  ASSERT_TRUE(steps.ok());
  EXPECT_EQ(steps->first.at(0).tool_calls(0).call().arguments(), R"({"amount":3})");
}

TEST_F(ApprovalRuntimeTest, ADeniedCallIsNeverMade) {
  TestRuntime runtime(Config());
  v1::Run run = *runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  run = *runtime.Await(runtime->GetRun(IdOf(run), absl::Seconds(60)));
  ASSERT_TRUE(Resolve(runtime, run, Deny("no")).ok());
  EXPECT_EQ(runtime.WaitForStop(run.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(paid_, "");
}

}  // namespace
}  // namespace agentruntime
