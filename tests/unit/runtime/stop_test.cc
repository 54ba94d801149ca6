// WhatNext over journals built by hand: every limit, every phase of a call, and recovery, asserted as data.
#include "runtime/stop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "proto/util/limits.h"
#include "runtime/view.h"
#include "tests/unit/runtime/journal_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::Journal;
using testing::JournalTest;
using testing::ModelError;

class StopTest : public JournalTest {
 protected:
  // The only open call of the run ends.
  void EndCall(Journal& journal, ToolOutcome outcome, bool timed_out = false) {
    journal.Settle(*plan);
    for (const CallState& call : journal.state.last_step()->calls) {
      if (call.phase != CallPhase::kOpen) continue;
      return End(journal, call.id.index, std::move(outcome), timed_out);
    }
    FAIL() << "no open call";
  }
};

v1::Event CancelRequest() {
  v1::Event fact;
  fact.mutable_cancel_requested()->mutable_cancellation()->set_principal("local");
  fact.mutable_cancel_requested()->mutable_cancellation()->set_cause("enough");
  *fact.mutable_cancel_requested()->mutable_grace() = ToProto(kCancelGrace);
  return fact;
}

TEST_F(StopTest, AnswerIsFinal) {
  Journal journal;
  Decide(journal, Answer("42"));
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_FALSE(stop.resumable());
  EXPECT_EQ(RunOf(journal.state).answer(0).text(), "42");
  EXPECT_EQ(journal.state.usage.input_tokens(), 10);
}

TEST_F(StopTest, CutAnswerIsAnErrorThatKeepsTheText) {
  Journal journal;
  ModelOutcome outcome = Answer("half an ans");
  outcome.decision->set_finish_reason(v1::FINISH_REASON_LENGTH);
  Decide(journal, std::move(outcome));
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_ERROR);
  EXPECT_EQ(stop.error().reason(), "MODEL_OUTPUT_TRUNCATED");
  EXPECT_TRUE(stop.resumable());
  EXPECT_EQ(RunOf(journal.state).answer(0).text(), "half an ans");
}

TEST_F(StopTest, AFilteredAnswerIsAnErrorThatKeepsTheTextAndMayBeAskedForAgain) {
  Journal journal;
  ModelOutcome outcome = Answer("what was said bef");
  outcome.decision->set_finish_reason(v1::FINISH_REASON_FILTERED);
  Decide(journal, std::move(outcome));
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_ERROR);
  EXPECT_EQ(stop.error().reason(), "MODEL_FILTERED");
  EXPECT_TRUE(stop.resumable());
  EXPECT_EQ(RunOf(journal.state).answer(0).text(), "what was said bef");
  v1::Event resumed;
  resumed.mutable_run_resumed();
  journal.Add(std::move(resumed));
  Decide(journal, Answer("42"));
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(RunOf(journal.state).answer(0).text(), "42");
}

TEST_F(StopTest, WhatIsCutOrFilteredBesideCallsStopsNothing) {
  for (const v1::FinishReason reason : {v1::FINISH_REASON_LENGTH, v1::FINISH_REASON_FILTERED}) {
    Journal journal;
    ModelOutcome outcome = Calls({{"safe", "{}"}});
    outcome.decision->set_finish_reason(reason);
    Decide(journal, std::move(outcome));
    EndCall(journal, testing::Done("x"));
    Decide(journal, Answer("42"));
    EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_FINAL_ANSWER) << v1::FinishReason_Name(reason);
  }
}

TEST_F(StopTest, CallsOfOneStepStartTogether) {
  Journal journal;
  Decide(journal, Calls({{"safe", "{}"}, {"unsafe", "{}"}}));
  journal.Settle(*plan);
  const Next next = journal.WhatNext(*plan);
  ASSERT_EQ(next.effects.size(), 2u);
  EXPECT_EQ(next.effects[0].call, (CallId{1, 1}));
  EXPECT_EQ(next.effects[1].call, (CallId{1, 2}));
  EXPECT_EQ(next.wake, kTimeoutDefault);
}

TEST_F(StopTest, MaxStepsCountsDecisions) {
  Journal journal(Limits(1, 10));
  Decide(journal, Calls({{"safe", "{}"}}));
  EndCall(journal, testing::Done("x"));
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_MAX_STEPS);
  EXPECT_EQ(stop.limit().value(), 1);
  EXPECT_EQ(stop.limit().count(), 1);
  EXPECT_TRUE(stop.resumable());
}

TEST_F(StopTest, CallsOverTheLimitAreSettledNotRun) {
  Journal journal(Limits(10, 1));
  Decide(journal, Calls({{"safe", "{}"}, {"safe", "{}"}, {"safe", "{}"}}));
  EndCall(journal, testing::Done("x"));
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_MAX_TOOL_CALLS);
  EXPECT_EQ(stop.limit().value(), 1);
  EXPECT_EQ(stop.limit().count(), 3);
  const auto& calls = journal.state.last_step()->calls;
  EXPECT_EQ(calls[0].finished->call_finished().outcome(), v1::CALL_OUTCOME_OK);
  EXPECT_EQ(calls[1].finished->call_finished().outcome(), v1::CALL_OUTCOME_NOT_RUN);
  EXPECT_EQ(calls[2].finished->call_finished().outcome(), v1::CALL_OUTCOME_NOT_RUN);
}

TEST_F(StopTest, ExactlyTheLimitOfCallsIsAllowed) {
  Journal journal(Limits(10, 1));
  Decide(journal, Calls({{"safe", "{}"}}));
  EndCall(journal, testing::Done("x"));
  Decide(journal, Answer("done"));
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(StopTest, ReservationsNeverExceedTheTokenBudget) {
  Journal journal(Limits(10, 10, 100));
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.model.open);
  EXPECT_LE(journal.state.model.reserved_tokens, 100);
  ModelOutcome outcome = Calls({{"safe", "{}"}});
  outcome.usage->set_input_tokens(90);
  Decide(journal, std::move(outcome));
  EndCall(journal, testing::Done("x"));
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_TOKEN_BUDGET);
  EXPECT_GT(stop.limit().count(), stop.limit().value());
}

TEST_F(StopTest, UnreportedUsageIsBookedAtItsReservation) {
  Journal journal;
  journal.Settle(*plan);
  const int64_t reserved = journal.state.model.reserved_tokens;
  ASSERT_GT(reserved, 0);
  ModelOutcome outcome = ModelError("MODEL_UNAVAILABLE", true);
  outcome.usage.reset();
  Decide(journal, std::move(outcome));
  EXPECT_EQ(BookedTokens(journal.state), reserved);
}

TEST_F(StopTest, TimeoutSettlesWhatIsOpen) {
  Journal journal;
  Decide(journal, Calls({{"safe", "{}"}, {"unsafe", "{}"}}));
  journal.Settle(*plan);
  journal.active = kTimeoutDefault;
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_TIMEOUT);
  EXPECT_EQ(stop.limit().value(), absl::ToInt64Milliseconds(kTimeoutDefault));
  const auto& calls = journal.state.last_step()->calls;
  EXPECT_EQ(calls[0].finished->call_finished().outcome(), v1::CALL_OUTCOME_CANCELLED);
  EXPECT_EQ(calls[1].finished->call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
}

TEST_F(StopTest, ModelIsTriedAgainThenGivenUp) {
  Journal journal;
  for (int attempt = 1; attempt < model->info().attempts_max; ++attempt) {
    Decide(journal, ModelError("MODEL_UNAVAILABLE", true));
    const Next next = journal.WhatNext(*plan);
    ASSERT_TRUE(next.facts.empty());
    ASSERT_TRUE(next.wake.has_value());
    journal.now += *next.wake;
  }
  Decide(journal, ModelError("MODEL_UNAVAILABLE", true));
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.error().reason(), "MODEL_UNAVAILABLE");
  EXPECT_TRUE(stop.resumable());
  EXPECT_EQ(journal.state.model.attempts, model->info().attempts_max);
}

TEST_F(StopTest, RefusalOfTheModelIsNotRepeated) {
  Journal journal;
  Decide(journal, ModelError("MODEL_REFUSED", false));
  EXPECT_EQ(StopOf(journal).error().reason(), "MODEL_REFUSED");
}

TEST_F(StopTest, UnknownToolGoesBackToTheModelAndThreeInARowStop) {
  Journal journal;
  for (int i = 0; i < kInvalidDecisionsMax; ++i) {
    ASSERT_FALSE(journal.state.is_stopped());
    Decide(journal, Calls({{"sfae", "{}"}}));
    const v1::CallFinished& finished = journal.state.last_step()->calls[0].finished->call_finished();
    EXPECT_EQ(finished.outcome(), v1::CALL_OUTCOME_ERROR);
    EXPECT_THAT(finished.result(0).text(), ::testing::HasSubstr("did you mean \"safe\"?"));
  }
  EXPECT_EQ(StopOf(journal).error().reason(), "MODEL_INVALID_CALLS");
  EXPECT_EQ(journal.state.usage.tool_calls(), kInvalidDecisionsMax) << "each requested call counts once, valid or not";
}

TEST_F(StopTest, OneValidDecisionBeginsTheCountOfInvalidOnesAgain) {
  Journal journal;
  for (const char* tool : {"nope", "nope", "safe", "nope", "nope"}) {
    Decide(journal, Calls({{tool, "{}"}}));
    if (std::string(tool) == "safe") EndCall(journal, testing::Done("x"));
  }
  Decide(journal, Answer("done"));
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(StopTest, MoreThan64CallsInOneDecisionStop) {
  Journal journal;
  Decide(journal, Calls(std::vector<std::pair<std::string, std::string>>(kCallsPerDecisionMax + 1, {"safe", "{}"})));
  EXPECT_EQ(StopOf(journal).error().reason(), "MODEL_INVALID_CALLS");
}

TEST_F(StopTest, FailedReadOnlyCallIsTriedThreeTimes) {
  Journal journal;
  Decide(journal, Calls({{"safe", "{}"}}));
  for (int attempt = 1; attempt < 3; ++attempt) {
    EndCall(journal, ToolFailed{"no", /*retryable=*/true, std::nullopt});
    const Next next = journal.WhatNext(*plan);
    ASSERT_TRUE(next.wake.has_value());
    journal.now += *next.wake;
  }
  EndCall(journal, ToolFailed{"no", /*retryable=*/true, std::nullopt});
  EXPECT_EQ(journal.state.last_step()->calls[0].attempts, 3);
  EXPECT_EQ(journal.state.last_step()->calls[0].finished->call_finished().outcome(), v1::CALL_OUTCOME_ERROR);
}

TEST_F(StopTest, UnsafeCallWithoutADefiniteOutcomeIsReportedNotRepeated) {
  Journal journal;
  Decide(journal, Calls({{"unsafe", "{}"}}));
  EndCall(journal, ToolUnknown{"no answer"}, /*timed_out=*/true);
  journal.Settle(*plan);
  const CallState& call = journal.state.last_step()->calls[0];
  EXPECT_EQ(call.attempts, 1);
  EXPECT_EQ(call.finished->call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
  EXPECT_TRUE(journal.state.model.open) << "the model decides what to do";
}

TEST_F(StopTest, UnsafeCallThatCertainlyTookNoEffectIsNoUncertainOne) {
  Journal journal;
  Decide(journal, Calls({{"unsafe", "{}"}}));
  EndCall(journal, ToolFailed{"cancelled before it was sent", /*retryable=*/true, std::nullopt}, /*timed_out=*/true);
  const v1::CallFinished& finished = journal.state.last_step()->calls[0].finished->call_finished();
  EXPECT_EQ(finished.outcome(), v1::CALL_OUTCOME_ERROR);
  EXPECT_EQ(finished.result(0).text(), "no result within 30s: cancelled before it was sent");
}

TEST_F(StopTest, TokensThatAProviderMakesUpDoNotOverflow) {
  Journal journal;
  for (int i = 0; i < 3; ++i) {
    if (journal.state.is_stopped()) break;
    ModelOutcome outcome = Calls({{"safe", "{}"}});
    outcome.usage->set_input_tokens(std::numeric_limits<int64_t>::max());
    outcome.usage->set_output_tokens(std::numeric_limits<int64_t>::max());
    Decide(journal, std::move(outcome));
    EndCall(journal, testing::Done("x"));
    journal.Settle(*plan);
  }
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_TOKEN_BUDGET);
  EXPECT_GT(BookedTokens(journal.state), 0);
}

TEST_F(StopTest, CancelComesBeforeTheRecoveryLimit) {
  Journal journal;
  journal.Settle(*plan);
  for (int i = 0; i < kBarrenStartsMax; ++i) {
    ++journal.epoch;
    journal.Settle(*plan);
  }
  journal.Add(CancelRequest());
  ++journal.epoch;
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_CANCELLED);
}

TEST_F(StopTest, UncertainCallStopsAnAgentThatAsksForIt) {
  auto agent = std::make_shared<v1::Agent>(*plan->agent);
  agent->set_on_uncertain_call(v1::UNCERTAIN_CALL_ACTION_STOP);
  plan->agent = agent;
  Journal journal;
  Decide(journal, Calls({{"unsafe", "{}"}}));
  EndCall(journal, ToolUnknown{"connection lost"});
  EXPECT_EQ(StopOf(journal).error().reason(), "CALL_UNCERTAIN");
}

TEST_F(StopTest, ANewEpochRepeatsWhatIsSafeAndReportsWhatIsNot) {
  Journal journal;
  Decide(journal, Calls({{"safe", "{}"}, {"unsafe", "{}"}}));
  journal.Settle(*plan);
  journal.epoch = 2;
  Next next = journal.WhatNext(*plan);
  ASSERT_EQ(next.facts.size(), 1u);
  EXPECT_EQ(next.facts[0].run_started().cause(), v1::START_CAUSE_RECOVERED);
  journal.Settle(*plan);
  const auto& calls = journal.state.last_step()->calls;
  EXPECT_EQ(calls[0].phase, CallPhase::kOpen);
  EXPECT_EQ(calls[0].attempts, 2);
  ASSERT_NE(calls[1].finished, nullptr) << "an UNSAFE call that was under way is not settled, attempt " << calls[1].attempts;
  EXPECT_EQ(calls[1].finished->call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
}

TEST_F(StopTest, ANewEpochBooksTheReservationOfAnOpenModelAttempt) {
  Journal journal;
  journal.Settle(*plan);
  const int64_t reserved = journal.state.model.reserved_tokens;
  journal.epoch = 2;
  journal.Settle(*plan);
  EXPECT_EQ(BookedTokens(journal.state), reserved);
  EXPECT_EQ(journal.state.model.attempts, 2);
}

TEST_F(StopTest, RecoveriesWithoutProgressAreBounded) {
  Journal journal;
  journal.Settle(*plan);
  EXPECT_EQ(kBarrenStartsMax, 20) << "operators plan with it";
  EXPECT_EQ(kBarrenStartsSuspect, 3);
  for (int i = 0; i <= kBarrenStartsMax; ++i) {
    ASSERT_FALSE(journal.state.is_stopped()) << i;
    ++journal.epoch;
    journal.Settle(*plan);
  }
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.error().reason(), "RECOVERY_LIMIT");
  EXPECT_TRUE(stop.resumable());
}

TEST_F(StopTest, CancelOfAQueuedRunStopsItWithoutAStart) {
  Journal journal;
  journal.Add(CancelRequest());
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_EQ(stop.cancellation().cause(), "enough");
  EXPECT_EQ(journal.state.start_time, std::nullopt);
}

TEST_F(StopTest, CancelWaitsForOpenAttemptsUntilTheGraceEnds) {
  Journal journal;
  Decide(journal, Calls({{"safe", "{}"}, {"unsafe", "{}"}}));
  journal.Settle(*plan);
  journal.Add(CancelRequest());
  const Next next = journal.WhatNext(*plan);
  EXPECT_TRUE(next.facts.empty());
  EXPECT_EQ(next.wake, kCancelGrace);
  journal.now -= absl::Minutes(10);  // the grace is no wall time
  EXPECT_EQ(journal.WhatNext(*plan).wake, kCancelGrace);
  journal.active += kCancelGrace;
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_CANCELLED);
  const auto& calls = journal.state.last_step()->calls;
  EXPECT_EQ(calls[0].finished->call_finished().outcome(), v1::CALL_OUTCOME_CANCELLED);
  EXPECT_EQ(calls[1].finished->call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
}

// Nothing happens at the deadline of a run that is being cancelled: looking again then would be looking again at once, until the grace ends.
TEST_F(StopTest, ACancelThatOutlastsTheDeadlineSleepsUntilTheGraceEnds) {
  Journal journal;
  journal.state.deadline = journal.now + absl::Seconds(1);
  Decide(journal, Calls({{"safe", "{}"}}));
  journal.Settle(*plan);
  EXPECT_EQ(journal.WhatNext(*plan).wake, absl::Seconds(1));
  journal.Add(CancelRequest());
  EXPECT_EQ(journal.WhatNext(*plan).wake, kCancelGrace);
  journal.now += absl::Seconds(2);
  EXPECT_EQ(journal.WhatNext(*plan).wake, kCancelGrace);
  journal.active += kCancelGrace;
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_CANCELLED);
}

// Active time passes whatever is set; an instant of the clock may come sooner than it looks.
TEST_F(StopTest, OnlyWhatLooksAtTheWallClockWaitsForIt) {
  Journal journal;
  Decide(journal, Calls({{"safe", "{}"}}));
  journal.Settle(*plan);
  EXPECT_EQ(journal.WhatNext(*plan).wake, absl::Minutes(10));
  EXPECT_FALSE(journal.WhatNext(*plan).waits_for_clock);
  journal.state.deadline = journal.now + absl::Hours(1);
  EXPECT_EQ(journal.WhatNext(*plan).wake, absl::Minutes(10)) << "the timeout comes first";
  EXPECT_TRUE(journal.WhatNext(*plan).waits_for_clock);
}

TEST_F(StopTest, NothingStartsAfterACancel) {
  Journal journal;
  Decide(journal, Calls({{"safe", "{}"}}));
  journal.Add(CancelRequest());
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_EQ(journal.state.last_step()->calls[0].finished->call_finished().outcome(), v1::CALL_OUTCOME_NOT_RUN);
}

TEST_F(StopTest, ResumeGoesOnWithTheRaisedLimit) {
  Journal journal(Limits(1, 10));
  Decide(journal, Calls({{"safe", "{}"}}));
  EndCall(journal, testing::Done("x"));
  ASSERT_EQ(StopOf(journal).reason(), v1::STOP_REASON_MAX_STEPS);
  v1::Event resumed;
  resumed.mutable_run_resumed()->mutable_limits()->set_max_steps(2);
  resumed.mutable_run_resumed()->add_input()->set_text("more");
  journal.Add(std::move(resumed));
  Decide(journal, Answer("done"));
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(journal.state.limits.max_tool_calls(), 10) << "what is not raised stays";
  EXPECT_EQ(journal.state.history.size(), 4u) << "input, step, input, step";
}

TEST_F(StopTest, AWallClockThatJumpsBackEndsNoWaitLate) {
  Journal journal;
  Decide(journal, ModelError("MODEL_UNAVAILABLE", true));
  ASSERT_TRUE(journal.WhatNext(*plan).wake.has_value());
  journal.now -= absl::Hours(1);
  journal.Settle(*plan);
  EXPECT_TRUE(journal.state.model.open) << "the retry is due now, not in an hour";
  journal.Add(CancelRequest());
  journal.now -= absl::Hours(1);
  journal.active += kCancelGrace;
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_CANCELLED);
}

// Every prefix of a journal is a legal journal: recovering at each cut ends in the same way, and repeats no settled call and no decision.
TEST_F(StopTest, EveryPrefixRecovers) {
  Journal whole;
  Decide(whole, Calls({{"safe", "{\"n\":1}"}, {"safe", "{\"n\":2}"}}));
  EndCall(whole, testing::Done("one"));
  EndCall(whole, testing::Done("two"));
  Decide(whole, Answer("done"));
  whole.Settle(*plan);
  ASSERT_TRUE(whole.state.is_stopped());
  for (size_t cut = 1; cut <= whole.events.size(); ++cut) {
    Journal journal;
    journal.events.clear();
    journal.state = RunState();
    journal.state.id = whole.state.id;
    for (size_t i = 0; i < cut; ++i) Apply(journal.state, whole.events[i]);
    journal.epoch = 2;
    int32_t decided = journal.state.usage.steps();
    for (int guard = 0; !journal.state.is_stopped() && guard < 20; ++guard) {
      journal.Settle(*plan);
      if (journal.state.is_stopped()) break;
      if (journal.state.model.open) {
        ++decided;
        Decide(journal, journal.state.usage.steps() == 0 ? Calls({{"safe", "{\"n\":1}"}, {"safe", "{\"n\":2}"}}) : Answer("done"));
      } else {
        EndCall(journal, testing::Done("again"));
      }
    }
    ASSERT_TRUE(journal.state.is_stopped()) << "cut after " << cut;
    EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << "cut after " << cut;
    EXPECT_EQ(journal.state.usage.steps(), 2) << "cut after " << cut;
    EXPECT_EQ(decided, 2) << "cut after " << cut << ": a step that the journal has is not decided again";
  }
}

}  // namespace
}  // namespace agentruntime
