// The grace step: one last decision without tools where a soft limit is met, within every budget, and the stop stays the limit's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/util/limits.h"
#include "runtime/budget.h"
#include "runtime/commands.h"
#include "runtime/context.h"
#include "runtime/view.h"
#include "tests/unit/runtime/journal_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::Journal;
using testing::JournalTest;
using testing::MakePlan;
using testing::ModelError;

class GraceTest : public JournalTest {
 protected:
  GraceTest() {
    plan = MakePlan(model, {safe});
    auto agent = std::make_shared<v1::Agent>(*plan->agent);
    agent->set_grace_step(true);
    plan->agent = std::move(agent);
  }

  // The model asks for a tool that is not there: a step without an attempt of a call.
  void Step(Journal& journal, int64_t tokens = 10) {
    ModelOutcome outcome = Calls({{"nope", "{}"}});
    outcome.usage->set_input_tokens(tokens);
    Decide(journal, std::move(outcome));
  }
  void ExpectGrace(Journal& journal) {
    journal.Settle(*plan);
    ASSERT_TRUE(journal.state.model.open);
    ASSERT_TRUE(journal.state.model.grace);
  }
};

TEST_F(GraceTest, AnAnswerAtMaxStepsIsKeptAndTheStopIsTheLimits) {
  Journal journal(Limits(1, 10));
  Step(journal);
  ExpectGrace(journal);
  Decide(journal, Answer("as far as I can tell"));
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_MAX_STEPS);
  EXPECT_EQ(stop.limit().count(), 2);
  EXPECT_TRUE(stop.resumable());
  EXPECT_EQ(RunOf(journal.state).answer(0).text(), "as far as I can tell");
  EXPECT_EQ(journal.state.usage.steps(), 2);
}

TEST_F(GraceTest, TheModelIsToldWhichLimitIsMetAndGetsNoTools) {
  Journal journal(Limits(1, 10));
  journal.Settle(*plan);
  MessageHistory history;
  EXPECT_EQ(BuildModelRequest(journal.state, *plan, history).tools.size(), 1);
  Step(journal);
  ExpectGrace(journal);
  const ModelRequest request = BuildModelRequest(journal.state, *plan, history);
  EXPECT_TRUE(request.tools.empty());
  EXPECT_THAT(request.notice, ::testing::HasSubstr("max_steps"));
  EXPECT_LE(request.notice.size(), 4 * kGraceNoticeTokens) << "what is reserved for it";
  EXPECT_EQ(request.messages.size(), 3);
}

TEST_F(GraceTest, CallsThatItAsksForAreNotRun) {
  Journal journal(Limits(10, 0));
  Step(journal);
  ExpectGrace(journal);
  ModelOutcome outcome = Calls({{"safe", "{}"}, {"nope", "{}"}});
  outcome.decision->add_content()->set_text("I would look once more");
  Decide(journal, std::move(outcome));
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_MAX_TOOL_CALLS);
  for (const CallState& call : journal.state.last_step()->calls) EXPECT_EQ(call.finished->call_finished().outcome(), v1::CALL_OUTCOME_NOT_RUN);
  EXPECT_EQ(RunOf(journal.state).answer(0).text(), "I would look once more");
}

TEST_F(GraceTest, ThereIsOneInALeg) {
  Journal journal(Limits(1, 10));
  Step(journal);
  ExpectGrace(journal);
  Step(journal);
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_MAX_STEPS);
  EXPECT_FALSE(CheckResume(journal.state, journal.now, Limits(2, 10), std::nullopt).ok()) << "the grace step counts";
  ASSERT_TRUE(CheckResume(journal.state, journal.now, Limits(3, 10), std::nullopt).ok());
  v1::Event resumed;
  resumed.mutable_run_resumed()->mutable_limits()->set_max_steps(3);
  journal.Add(std::move(resumed));
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.model.open);
  EXPECT_FALSE(journal.state.model.grace);
  Step(journal);
  ExpectGrace(journal);
}

TEST_F(GraceTest, OneThatFailsForGoodLeavesTheLimitsStop) {
  Journal journal(Limits(1, 10));
  Step(journal);
  ExpectGrace(journal);
  Decide(journal, ModelError("MODEL_REFUSED", false));
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_MAX_STEPS);
}

TEST_F(GraceTest, OneThatACrashCutOffIsTriedAgain) {
  Journal journal(Limits(1, 10));
  Step(journal);
  ExpectGrace(journal);
  ++journal.epoch;
  ExpectGrace(journal);
  EXPECT_EQ(journal.state.model.attempts, 2);
  Decide(journal, Answer("x"));
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_MAX_STEPS);
}

TEST_F(GraceTest, TheBudgetOfTokensStaysHardAndLeavesRoomForIt) {
  Journal journal(Limits(100, 100, 3'000));
  int32_t steps = 0;
  for (; !journal.state.model.grace && steps < 100; ++steps) {
    journal.Settle(*plan);
    ASSERT_TRUE(journal.state.model.open) << "the soft point lies before the hard one";
    ASSERT_LE(BookedTokens(journal.state) + journal.state.model.reserved_tokens, 3'000);
    if (journal.state.model.grace) break;
    Step(journal, 300);
    if (journal.state.invalid_decisions == 2) journal.state.invalid_decisions = 0;
  }
  ASSERT_GT(steps, 2);
  MessageHistory history;
  EXPECT_GE(BuildModelRequest(journal.state, *plan, history).max_output_tokens, kGraceOutputTokensMin);
  Decide(journal, Answer("x"));
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_TOKEN_BUDGET);
  EXPECT_LE(BookedTokens(journal.state), 3'000);
}

TEST_F(GraceTest, WithoutRoomForItThereIsNone) {
  Journal journal(Limits(100, 100, 2'000));
  Step(journal, 1'900);
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_TOKEN_BUDGET);
  EXPECT_EQ(journal.state.grace_step, 0);
}

TEST_F(GraceTest, TheBudgetOfMoneyIsTheSame) {
  plan->price.emplace();
  plan->price->set_input_micros(1'000'000);
  plan->price->set_output_micros(2'000'000);
  v1::Limits limits = Limits(100, 100);
  limits.set_max_cost_micros(2'000);
  Journal journal(std::move(limits));
  Step(journal, 1'310);
  ExpectGrace(journal);
  EXPECT_LE(journal.state.usage.cost_micros() + *journal.state.model.reserved_cost_micros, 2'000);
  Decide(journal, Answer("x"));
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_COST_BUDGET);
  EXPECT_EQ(RunOf(journal.state).answer(0).text(), "x");
}

TEST_F(GraceTest, TheFirstDecisionOfALegNeedsNoRoomForIt) {
  Journal journal(Limits(100, 100, 300));
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.model.open);
  EXPECT_FALSE(journal.state.model.grace);
  Decide(journal, Answer("at once"));
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_FINAL_ANSWER);
}

// Recovering at each cut ends in the same way.
TEST_F(GraceTest, EveryPrefixRecovers) {
  Journal whole(Limits(1, 10));
  Step(whole);
  Decide(whole, Calls({{"safe", "{}"}}));
  whole.Settle(*plan);
  ASSERT_TRUE(whole.state.is_stopped());
  for (size_t cut = 1; cut <= whole.events.size(); ++cut) {
    if (cut < whole.events.size() && whole.events[cut]->has_call_finished()) continue;  // in the append of the decision
    Journal journal;
    journal.events.clear();
    journal.state = RunState();
    journal.state.id = whole.state.id;
    for (size_t i = 0; i < cut; ++i) Apply(journal.state, whole.events[i]);
    journal.epoch = 2;
    for (int guard = 0; !journal.state.is_stopped() && guard < 20; ++guard) {
      journal.Settle(*plan);
      if (journal.state.model.open) Decide(journal, journal.state.usage.steps() == 0 ? Calls({{"nope", "{}"}}) : Calls({{"safe", "{}"}}));
    }
    ASSERT_TRUE(journal.state.is_stopped()) << "cut after " << cut;
    EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_MAX_STEPS) << "cut after " << cut;
    EXPECT_EQ(journal.state.usage.steps(), 2) << "cut after " << cut;
  }
}

}  // namespace
}  // namespace agentruntime
