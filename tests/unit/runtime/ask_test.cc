// Calls that wait for a person: the pure rules over journals built by hand, and the whole runtime.
#include "runtime/ask.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/commands.h"
#include "runtime/view.h"
#include "tests/support/call_answers.h"
#include "tests/unit/runtime/journal_fixture.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Calls;
using testing::Done;
using testing::FakeTool;
using testing::GiveUp;
using testing::Journal;
using testing::JournalTest;
using testing::ReadAll;
using testing::Result;
using testing::RunAgain;
using testing::RuntimeTest;
using testing::Steps;
using testing::TestRuntime;

Resolution Say(v1::CallAnswer answer) {
  Resolution resolution;
  resolution.answer = std::move(answer);
  resolution.principal = "ann";
  return resolution;
}

class AskTest : public JournalTest {
 protected:
  AskTest() {
    auto asking = std::make_shared<v1::Agent>(*plan->agent);
    asking->set_on_uncertain_call(v1::UNCERTAIN_CALL_ACTION_ASK);
    plan->agent = std::move(asking);
  }
  // The model asked for `calls`; every UNSAFE one was started and nobody knows how it ended.
  void Ask(Journal& journal, const std::vector<std::pair<std::string, std::string>>& calls) {
    Decide(journal, Calls(calls));
    journal.Settle(*plan);
    for (size_t i = 0; i < calls.size(); ++i) {
      if (calls[i].first == "unsafe") End(journal, static_cast<int32_t>(i) + 1, ToolUnknown{"the connection was lost"});
    }
    journal.Settle(*plan);
  }
  const CallState& Call(const Journal& journal, int32_t index = 1) { return *journal.state.FindCall({1, index}); }
};

TEST_F(AskTest, AnUncertainCallWaitsAndTheRunWithIt) {
  Journal journal;
  Ask(journal, {{"unsafe", R"({"to":"bob"})"}});
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_WAITING);
  const v1::Run run = RunOf(journal.state);
  ASSERT_EQ(run.waiting_calls_size(), 1);
  const v1::WaitingCall& waiting = run.waiting_calls(0);
  EXPECT_EQ(waiting.call_id(), "1.1");
  EXPECT_EQ(waiting.tool(), "unsafe");
  EXPECT_EQ(waiting.kind(), v1::WAIT_KIND_UNCERTAIN);
  EXPECT_THAT(waiting.text(), ::testing::HasSubstr(R"(unsafe {"to":"bob"})"));
  EXPECT_EQ(FromProto(waiting.expire_time()), journal.now + absl::Hours(24));
  EXPECT_TRUE(waiting.default_answer().has_give_up());
  EXPECT_EQ(ProjectionOf(journal.state).wake_time, journal.now + absl::Hours(24));
  const Next next = journal.WhatNext(*plan);
  EXPECT_TRUE(next.facts.empty() && next.effects.empty());
  EXPECT_EQ(next.wake, absl::Hours(24)) << "the run's timeout does not count while it waits";
}

TEST_F(AskTest, TheRunWaitsOnlyWhenNothingElseMoves) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}, {"safe", "{}"}});
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_RUNNING);
  ASSERT_EQ(journal.WhatNext(*plan).effects.size(), 1u);
  End(journal, 2, Done("x"));
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_WAITING);
}

TEST_F(AskTest, RunAgainIsASecondAttemptUnderTheSameKey) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  journal.AddAll(FactsOfAnswer(Call(journal), Say(RunAgain())));
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_RUNNING);
  journal.Settle(*plan);
  EXPECT_EQ(Call(journal).phase, CallPhase::kOpen);
  std::vector<std::string> keys;
  for (const EventPtr& event : journal.events) {
    if (event->has_call_started()) keys.push_back(event->call_started().idempotency_key());
  }
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0], keys[1]);
}

// The first attempt may have taken effect, whatever a person said of a second one that never began.
TEST_F(AskTest, ARunThatStopsBeforeTheSecondAttemptLeavesTheCallUncertain) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  journal.AddAll(FactsOfAnswer(Call(journal), Say(RunAgain())));
  ASSERT_EQ(Call(journal).phase, CallPhase::kReady);
  journal.active = FromProto(journal.state.limits.timeout());
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(Call(journal).finished->call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
}

// Nor does a second one that certainly took none say anything of the first.
TEST_F(AskTest, ASecondAttemptThatFailsLeavesTheCallUncertain) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  journal.AddAll(FactsOfAnswer(Call(journal), Say(RunAgain())));
  journal.Settle(*plan);
  ASSERT_EQ(Call(journal).phase, CallPhase::kOpen);
  End(journal, 1, ToolFailed{"nobody listens there", /*retryable=*/false, std::nullopt});
  journal.Settle(*plan);
  EXPECT_EQ(Call(journal).phase, CallPhase::kWaiting) << "the person is asked again";
  EXPECT_EQ(Call(journal).waiting->call_waiting().kind(), v1::WAIT_KIND_UNCERTAIN);
}

// An operator learnt that the endpoint ignores its key, and said so before the next start.
TEST_F(AskTest, AnAttemptOfAToolThatMayNotBeRepeatedAnyMoreIsUncertain) {
  for (const bool failed : {false, true}) {
    unsafe->mutable_spec().side_effect = v1::SIDE_EFFECT_IDEMPOTENT;
    unsafe->mutable_spec().attempts_max = 3;
    Journal journal;
    Decide(journal, Calls({{"unsafe", "{}"}}));
    journal.Settle(*plan);
    ASSERT_EQ(Call(journal).phase, CallPhase::kOpen);
    if (failed) End(journal, 1, ToolUnknown{"the connection was lost"});
    unsafe->mutable_spec().side_effect = v1::SIDE_EFFECT_UNSAFE;
    ++journal.epoch;
    journal.now += absl::Minutes(1);
    journal.Settle(*plan);
    EXPECT_EQ(Call(journal).phase, CallPhase::kWaiting) << failed;
    EXPECT_EQ(Call(journal).waiting->call_waiting().kind(), v1::WAIT_KIND_UNCERTAIN);
    EXPECT_EQ(Call(journal).attempts, 1);
    journal.AddAll(FactsOfAnswer(Call(journal), Say(RunAgain())));
    journal.Settle(*plan);
    EXPECT_EQ(Call(journal).attempts, 2);
  }
}

TEST_F(AskTest, AResultSettlesTheCallAndIsStoredOnce) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  const std::vector<v1::Event> facts = FactsOfAnswer(Call(journal), Say(Result("it was sent")));
  ASSERT_EQ(facts.size(), 2u);
  EXPECT_TRUE(facts[0].call_resolved().answer().has_result());
  EXPECT_TRUE(facts[0].call_resolved().answer().result().parts().empty());
  EXPECT_EQ(facts[0].call_resolved().principal(), "ann");
  EXPECT_EQ(facts[1].call_finished().outcome(), v1::CALL_OUTCOME_OK);
  EXPECT_EQ(facts[1].call_finished().result(0).text(), "it was sent");
  journal.AddAll(facts);
  journal.Settle(*plan);
  EXPECT_TRUE(journal.state.model.open) << "the model goes on";
}

TEST_F(AskTest, GivingUpReportsToTheModel) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  journal.AddAll(FactsOfAnswer(Call(journal), Say(GiveUp("the log is gone"))));
  EXPECT_EQ(Call(journal).finished->call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
  EXPECT_THAT(Call(journal).finished->call_finished().result(0).text(), ::testing::HasSubstr("the log is gone"));
  EXPECT_EQ(CheckResolve(journal.state, *plan, {1, 1}, RunAgain()).code(), absl::StatusCode::kFailedPrecondition) << "the first answer counts";
}

TEST_F(AskTest, AWaitThatExpiresTakesItsDefault) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  journal.now += absl::Hours(24);
  const Next next = journal.WhatNext(*plan);
  ASSERT_EQ(next.facts.size(), 2u);
  EXPECT_TRUE(next.facts[0].call_resolved().expired());
  EXPECT_EQ(next.facts[1].call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
}

TEST_F(AskTest, ACancelSettlesWhatWaits) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  v1::Event cancel;
  *cancel.mutable_cancel_requested()->mutable_grace() = ToProto(kCancelGrace);
  journal.Add(std::move(cancel));
  journal.Settle(*plan);
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_EQ(Call(journal).finished->call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
  EXPECT_FALSE(CheckResolve(journal.state, *plan, {1, 1}, RunAgain()).ok());
}

TEST_F(AskTest, ANewEpochLeavesAWaitingCallWaiting) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  journal.epoch = 2;
  journal.Settle(*plan);
  EXPECT_EQ(journal.events.back()->run_started().cause(), v1::START_CAUSE_RECOVERED);
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_WAITING);
  EXPECT_TRUE(CheckResolve(journal.state, *plan, {1, 1}, RunAgain()).ok());
}

TEST_F(AskTest, CallsThatDoNotExistOrDoNotWaitAreNamed) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  EXPECT_EQ(ReasonOf(CheckResolve(journal.state, *plan, {1, 2}, RunAgain())), v1::ERROR_REASON_CALL_NOT_FOUND);
  EXPECT_EQ(ReasonOf(CheckResolve(journal.state, *plan, {2, 1}, RunAgain())), v1::ERROR_REASON_CALL_NOT_FOUND);
  journal.AddAll(FactsOfAnswer(Call(journal), Say(RunAgain())));
  EXPECT_EQ(ReasonOf(CheckResolve(journal.state, *plan, {1, 1}, RunAgain())), v1::ERROR_REASON_CALL_NOT_WAITING);
}

TEST_F(AskTest, RunAgainEndsAtTheJournalsBound) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  while (CheckResolve(journal.state, *plan, {1, 1}, RunAgain()).ok()) {
    journal.AddAll(FactsOfAnswer(Call(journal), Say(RunAgain())));
    journal.Settle(*plan);
    End(journal, 1, ToolUnknown{"the connection was lost"});
    journal.Settle(*plan);
    ASSERT_LT(journal.state.last_sequence, kEventsMax);
  }
  EXPECT_EQ(ReasonOf(CheckResolve(journal.state, *plan, {1, 1}, RunAgain())), v1::ERROR_REASON_JOURNAL_FULL);
  EXPECT_TRUE(CheckResolve(journal.state, *plan, {1, 1}, GiveUp("")).ok());
}

TEST_F(AskTest, TwoCallsWaitEachForItsOwnAnswer) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}, {"unsafe", "{}"}});
  EXPECT_EQ(RunOf(journal.state).waiting_calls_size(), 2);
  journal.AddAll(FactsOfAnswer(Call(journal, 2), Say(Result("x"))));
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_WAITING);
  ASSERT_EQ(RunOf(journal.state).waiting_calls_size(), 1);
  EXPECT_EQ(RunOf(journal.state).waiting_calls(0).call_id(), "1.1");
  journal.AddAll(FactsOfAnswer(Call(journal, 1), Say(Result("y"))));
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_RUNNING);
}

TEST_F(AskTest, AWaitOfAClockThatWasSetBackEnds) {
  Journal journal;
  Ask(journal, {{"unsafe", "{}"}});
  journal.now -= absl::Hours(365 * 24);  // it was far ahead when the wait began
  EXPECT_TRUE(journal.WhatNext(*plan).facts[0].call_resolved().expired());
}

// A deadline counts everything; a timeout does not count the wait.
TEST_F(AskTest, ADeadlineEndsAWait) {
  Journal journal;
  journal.state.deadline = journal.now + absl::Hours(1);
  Ask(journal, {{"unsafe", "{}"}});
  EXPECT_EQ(journal.WhatNext(*plan).wake, absl::Hours(1));
  EXPECT_EQ(ProjectionOf(journal.state).wake_time, journal.now + absl::Hours(1));
  journal.now += absl::Hours(1);
  journal.Settle(*plan);
  const v1::Stop& stop = journal.state.stopped->run_stopped().stop();
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_TIMEOUT);
  EXPECT_EQ(stop.limit().limit(), "deadline");
  EXPECT_EQ(Call(journal).finished->call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
  EXPECT_EQ(ReasonOf(CheckResume(journal.state, journal.now, v1::Limits(), std::nullopt)), v1::ERROR_REASON_LIMIT_NOT_RAISED);
  EXPECT_EQ(ReasonOf(CheckResume(journal.state, journal.now, v1::Limits(), journal.now)), v1::ERROR_REASON_LIMIT_NOT_RAISED);
  EXPECT_TRUE(CheckResume(journal.state, journal.now, v1::Limits(), journal.now + absl::Hours(1)).ok());
  EXPECT_EQ(ReasonOf(CheckResume(journal.state, journal.now + absl::Hours(1), v1::Limits(), journal.now + absl::Hours(1))), v1::ERROR_REASON_LIMIT_NOT_RAISED)
      << "it is over already";
}

// Nobody knows how the tool's first attempt ended; the second is fine.
class AskRuntimeTest : public RuntimeTest {
 protected:
  TestRuntime::Config Config() {
    auto pay = std::make_shared<FakeTool>("pay", v1::SIDE_EFFECT_UNSAFE, [this](ToolRequest request, ProgressSink&) { return Pay(std::move(request)); });
    TestRuntime::Config config = RuntimeTest::Config(Steps(1, "pay"), {std::move(pay)});
    config.agent.set_on_uncertain_call(v1::UNCERTAIN_CALL_ACTION_ASK);
    *config.agent.mutable_call_wait() = ToProto(wait_);
    return config;
  }
  asio::awaitable<ToolOutcome> Pay(ToolRequest request) {
    keys_ += request.idempotency_key + " ";
    co_return ++payments_ == 1 ? ToolOutcome(ToolUnknown{"no answer"}) : Done("paid");
  }
  // A run that waits.
  v1::Run Waiting(TestRuntime& runtime) {
    const v1::Run created = *runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    return *runtime.Await(runtime->GetRun(IdOf(created), absl::Seconds(60)));
  }
  static ResolveRequest Request(v1::CallAnswer answer) { return {.call = {1, 1}, .answer = std::move(answer), .request_id = "a-1", .request_hash = "h"}; }

  absl::Duration wait_ = absl::Hours(24);
  std::atomic<int> payments_ = 0;
  std::string keys_;
};

TEST_F(AskRuntimeTest, ARunWaitsAndGoesOnWhenItIsAnswered) {
  TestRuntime runtime(Config());
  const v1::Run waiting = Waiting(runtime);
  ASSERT_EQ(waiting.state(), v1::RUN_STATE_WAITING) << "GetRun's wait ends there";
  ASSERT_EQ(waiting.waiting_calls_size(), 1);
  EXPECT_EQ(payments_, 1);
  const auto answered = runtime.Await(runtime->ResolveCall(IdOf(waiting), Request(RunAgain()), Caller()));
  ASSERT_TRUE(answered.ok()) << answered.status();
  const v1::Run stopped = runtime.WaitForStop(waiting.name());
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(payments_, 2);
  EXPECT_EQ(keys_.substr(0, 33), keys_.substr(33)) << "both attempts had the same key";
  EXPECT_TRUE(runtime.Await(runtime->ResolveCall(IdOf(waiting), Request(RunAgain()), Caller())).ok()) << "a retry of the same answer";
  ResolveRequest other = Request(RunAgain());
  other.request_hash = "other";
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->ResolveCall(IdOf(waiting), other, Caller())).status()), v1::ERROR_REASON_REQUEST_ID_REUSED);
  other.request_id = "a-2";
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->ResolveCall(IdOf(waiting), other, Caller())).status()), v1::ERROR_REASON_CALL_NOT_WAITING);
}

TEST_F(AskRuntimeTest, AWaitingRunLeavesMemoryAndListsItsCall) {
  TestRuntime runtime(Config());
  const v1::Run waiting = Waiting(runtime);
  runtime.AwaitNoSession();
  RunQuery query;
  query.states = {v1::RUN_STATE_WAITING};
  const auto listed = runtime.Await(runtime->ListRuns(query));
  ASSERT_EQ(listed->first.size(), 1u);
  ASSERT_EQ(listed->first[0].waiting_calls_size(), 1);
  EXPECT_EQ(listed->first[0].waiting_calls(0).call_id(), "1.1");
  ASSERT_TRUE(runtime.Await(runtime->ResolveCall(IdOf(waiting), Request(Result("paid by hand")), Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(waiting.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(payments_, 1);
}

TEST_F(AskRuntimeTest, AWaitSurvivesARestart) {
  std::string name;
  {
    TestRuntime runtime(Config());
    name = Waiting(runtime).name();
  }
  TestRuntime runtime(Config());
  const RunId id = *ParseRunName(name);
  EXPECT_EQ(runtime.Await(runtime->GetRun(id, absl::ZeroDuration()))->state(), v1::RUN_STATE_WAITING);
  ASSERT_TRUE(runtime.Await(runtime->ResolveCall(id, Request(GiveUp("")), Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(payments_, 1);
}

TEST_F(AskRuntimeTest, NobodyAnswersAndTheRunGoesOn) {
  wait_ = absl::Seconds(1);
  TestRuntime runtime(Config());
  const v1::Run waiting = Waiting(runtime);
  ASSERT_EQ(waiting.state(), v1::RUN_STATE_WAITING);
  runtime.Await(ReadAll(*runtime.Await(runtime->WatchRun(IdOf(waiting), 0, false))));  // to the stop
  EXPECT_EQ(runtime.WaitForStop(waiting.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(payments_, 1);
}

TEST_F(AskRuntimeTest, AWaitThatExpiredWhileTheServerWasDownEndsAtItsStart) {
  std::string name;
  {
    TestRuntime runtime(Config());
    name = Waiting(runtime).name();
  }
  TestRuntime::Config a_day_later = Config();
  a_day_later.clock_ahead = absl::Hours(25);
  TestRuntime runtime(a_day_later);
  runtime.Await(ReadAll(*runtime.Await(runtime->WatchRun(*ParseRunName(name), 0, false))));  // to the stop
  EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

// The person came in time: whether the server has room for one more session is not their concern.
TEST_F(AskRuntimeTest, AnAnswerNeedsNoRoom) {
  TestRuntime::Config config = Config();
  config.options.running_max = 1;
  TestRuntime runtime(config);
  const v1::Run first = Waiting(runtime);
  payments_ = 0;
  const v1::Run second = Waiting(runtime);  // the one place is free again
  ASSERT_EQ(second.state(), v1::RUN_STATE_WAITING);
  EXPECT_TRUE(runtime.Await(runtime->ResolveCall(IdOf(first), Request(GiveUp("")), Caller())).ok());
  EXPECT_TRUE(runtime.Await(runtime->ResolveCall(IdOf(second), Request(GiveUp("")), Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(first.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(runtime.WaitForStop(second.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(AskRuntimeTest, AWaitingRunIsCancelled) {
  TestRuntime runtime(Config());
  const v1::Run waiting = Waiting(runtime);
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(IdOf(waiting), {.cause = "not needed"}, Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(waiting.name()).stop().reason(), v1::STOP_REASON_CANCELLED);
}

}  // namespace
}  // namespace agentruntime
