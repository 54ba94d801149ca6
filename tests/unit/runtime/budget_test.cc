// Money over journals built by hand: reserved before it is spent, booked after it, never over the budget.
#include "runtime/budget.h"

#include <gtest/gtest.h>

#include <limits>

#include "proto/util/limits.h"
#include "proto/util/money.h"
#include "runtime/context.h"
#include "tests/unit/runtime/journal_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::Journal;
using testing::JournalTest;
using testing::MakePlan;
using testing::ModelError;

class BudgetTest : public JournalTest {
 protected:
  BudgetTest() {
    plan = MakePlan(model, {safe});
    plan->price.emplace();
    plan->price->set_input_micros(1'000'000);  // one micro a token
    plan->price->set_output_micros(10'000'000);
  }

  static v1::Limits Budget(int64_t cost_micros) {
    v1::Limits limits = PublishedDefaultLimits();
    limits.set_max_cost_micros(cost_micros);
    return limits;
  }
  static ModelOutcome Used(ModelOutcome outcome, int64_t input, int64_t output) {
    outcome.usage->set_input_tokens(input);
    outcome.usage->set_output_tokens(output);
    return outcome;
  }
};

TEST_F(BudgetTest, AReservationIsThePriceOfThePromptAndOfAllThatMayBeWritten) {
  Journal journal;
  journal.Settle(*plan);
  const int64_t prompt = EstimatePromptTokens(journal.state, *plan);
  EXPECT_EQ(journal.state.model.reserved_tokens, prompt + kMaxOutputTokensDefault);
  EXPECT_EQ(journal.state.model.reserved_cost_micros, prompt + 10 * kMaxOutputTokensDefault);
}

TEST_F(BudgetTest, AReservationIsCutToWhatIsLeftAndTheModelMayWriteNoMore) {
  Journal journal(Budget(1'000));
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.model.open);
  EXPECT_LE(*journal.state.model.reserved_cost_micros, 1'000);
  MessageHistory history;
  const int64_t prompt = EstimatePromptTokens(journal.state, *plan);
  const int64_t output = BuildModelRequest(journal.state, *plan, history).max_output_tokens;
  EXPECT_EQ(output, (1'000 - prompt) / 10);
}

TEST_F(BudgetTest, TheBudgetStopsBeforeADecisionThatItHasNoRoomFor) {
  Journal journal(Budget(1'000));
  Decide(journal, Used(Calls({{"nope", "{}"}}), 900, 9));
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  const v1::Stop& stop = journal.state.stopped->run_stopped().stop();
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_COST_BUDGET);
  EXPECT_EQ(stop.limit().limit(), "max_cost_micros");
  EXPECT_EQ(stop.limit().value(), 1'000);
  EXPECT_GT(stop.limit().count(), 1'000);
  EXPECT_TRUE(stop.resumable());
  EXPECT_EQ(journal.state.usage.cost_micros(), 990);
}

TEST_F(BudgetTest, MoneyIsAskedAboutBeforeTokens) {
  v1::Limits limits = Budget(1'000);
  limits.set_max_tokens(500);
  Journal journal(std::move(limits));
  Decide(journal, Used(Calls({{"nope", "{}"}}), 2'000, 0));
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_COST_BUDGET);
}

// Whatever the model reports and however attempts end: at each model_called what is booked and what is reserved fit into the budget.
TEST_F(BudgetTest, BookedAndReservedNeverExceedTheBudget) {
  for (const int64_t budget : {60, 400, 1'000, 5'000, 60'000}) {
    Journal journal(Budget(budget));
    for (int i = 0; i < 40 && !journal.state.is_stopped(); ++i) {
      journal.Settle(*plan);
      if (journal.state.is_stopped()) break;
      if (!journal.state.model.open) {
        journal.now += absl::Minutes(1);
        continue;
      }
      ASSERT_LE(journal.state.usage.cost_micros() + *journal.state.model.reserved_cost_micros, budget);
      if (i % 3 == 0) {
        ModelOutcome silent = ModelError("MODEL_UNAVAILABLE", true);
        silent.usage.reset();
        Decide(journal, std::move(silent));
      } else if (i % 3 == 1) {
        ++journal.epoch;  // the server died: the reservation is booked
      } else {
        Decide(journal, Used(Calls({{"nope", "{}"}}), 40, 3));
      }
    }
    EXPECT_LE(journal.state.usage.cost_micros(), budget) << "nothing was reported above its reservation";
  }
}

TEST_F(BudgetTest, AnAttemptThatNobodyKnowsTheCostOfIsBookedAtItsReservation) {
  Journal journal(Budget(1'000'000));
  journal.Settle(*plan);
  const int64_t reserved = *journal.state.model.reserved_cost_micros;
  ASSERT_GT(reserved, 0);
  ++journal.epoch;
  journal.Settle(*plan);
  EXPECT_EQ(journal.state.usage.cost_micros(), reserved);
  ModelOutcome silent = ModelError("MODEL_UNAVAILABLE", true);
  silent.usage.reset();
  Decide(journal, std::move(silent));
  EXPECT_EQ(journal.state.usage.cost_micros(), 2 * reserved);
}

TEST_F(BudgetTest, CachedTokensAreBookedAtTheirOwnPrice) {
  plan->price->set_cached_input_micros(100'000);
  Journal journal;
  ModelOutcome outcome = Used(Answer("x"), 1'000, 0);
  outcome.usage->set_cached_input_tokens(900);
  Decide(journal, std::move(outcome));
  EXPECT_EQ(journal.state.usage.cost_micros(), 100 + 90);
}

TEST_F(BudgetTest, WhatAProviderMakesUpDoesNotOverflow) {
  plan->price->set_input_micros(kPriceMicrosMax);
  plan->price->set_output_micros(kPriceMicrosMax);
  v1::Limits limits = Budget(kMaxCostMicrosMaximum);
  limits.set_max_tokens(kMaxTokensMaximum);
  Journal journal(std::move(limits));
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (int i = 0; i < 3 && !journal.state.is_stopped(); ++i) {
    Decide(journal, Used(Calls({{"nope", "{}"}}), kMost, kMost));
    journal.Settle(*plan);
  }
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_COST_BUDGET);
  EXPECT_GT(journal.state.usage.cost_micros(), 0);
}

TEST_F(BudgetTest, WithoutAPriceTheCostIsAbsentAndNotZero) {
  plan->price.reset();
  Journal journal;
  Decide(journal, Answer("x"));
  EXPECT_FALSE(journal.state.usage.has_cost_micros());
  EXPECT_FALSE(journal.events[2]->model_called().has_reserved_cost_micros());
}

TEST_F(BudgetTest, ABudgetWithoutAPriceIsRefusedAndStopsARunThatHasOne) {
  plan->price.reset();
  EXPECT_EQ(CheckPrice(Budget(1), *plan).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(CheckPrice(PublishedDefaultLimits(), *plan).ok());
  Journal journal(Budget(1'000));  // the price was there when it was accepted
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().error().reason(), "MODEL_UNPRICED");
  EXPECT_TRUE(journal.state.stopped->run_stopped().stop().resumable());
}

TEST_F(BudgetTest, AModelThatReadsNoTokensNeedsNoPrice) {
  plan->price.reset();
  model->mutable_info().counts_tokens = false;
  EXPECT_TRUE(CheckPrice(Budget(1), *plan).ok());
  Journal journal(Budget(1));
  Decide(journal, Answer("x"));
  journal.Settle(*plan);
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

}  // namespace
}  // namespace agentruntime
