// Which stop is named where several conditions hold, and the bounds of a journal.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "runtime/commands.h"
#include "tests/unit/runtime/journal_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::Done;
using testing::Journal;
using testing::JournalTest;

using Asked = std::vector<std::pair<std::string, std::string>>;

v1::Event Cancel() {
  v1::Event fact;
  fact.mutable_cancel_requested()->mutable_cancellation()->set_principal("local");
  *fact.mutable_cancel_requested()->mutable_grace() = ToProto(kCancelGrace);
  return fact;
}

// "CANCELLED", or "TIMEOUT deadline" where a limit is named.
std::string NameOf(const v1::Stop& stop) {
  std::string name = v1::StopReason_Name(stop.reason()).substr(std::string("STOP_REASON_").size());
  if (stop.reason() == v1::STOP_REASON_TIMEOUT) name += " " + stop.limit().limit();
  return name;
}

class StopOrderTest : public JournalTest {
 protected:
  // Two equal steps with one call each, by a model with a price.
  Journal TwoSteps() {
    plan->price.emplace();
    plan->price->set_input_micros(1'000'000);
    Journal journal;
    for (int i = 0; i < 2; ++i) {
      Decide(journal, Calls({{"safe", "{}"}}));
      journal.Settle(*plan);
      End(journal, 1, Done("the same"));
    }
    return journal;
  }
};

// In the order of the rules: with all of them met, each is named until it is lifted.
TEST_F(StopOrderTest, TheFirstLimitThatHoldsNamesTheStop) {
  Journal journal = TwoSteps();
  v1::Limits& limits = journal.state.limits;
  limits.set_max_cost_micros(1);
  limits.set_max_tokens(1);
  limits.set_max_tool_calls(1);
  limits.set_max_steps(2);
  limits.set_max_repeats(2);
  const std::vector<std::pair<std::string, std::function<void()>>> order = {
      {"COST_BUDGET", [&] { limits.set_max_cost_micros(1'000'000); }}, {"TOKEN_BUDGET", [&] { limits.set_max_tokens(1'000'000); }},
      {"MAX_TOOL_CALLS", [&] { limits.set_max_tool_calls(100); }},     {"MAX_STEPS", [&] { limits.set_max_steps(100); }},
      {"LOOP_DETECTED", [&] { limits.set_max_repeats(100); }},
  };
  for (const auto& [name, lift] : order) {
    Journal stopped = journal;
    EXPECT_EQ(NameOf(StopOf(stopped)), name);
    lift();
  }
  journal.Settle(*plan);
  EXPECT_TRUE(journal.state.model.open);
}

TEST_F(StopOrderTest, ACancelComesBeforeAnAnswer) {
  Journal journal;
  Decide(journal, Answer("42"));
  journal.Add(Cancel());
  EXPECT_EQ(NameOf(StopOf(journal)), "CANCELLED");
}

TEST_F(StopOrderTest, AnAnswerComesBeforeTheDeadlineAndThatBeforeTheTimeout) {
  Journal journal;
  journal.Settle(*plan);
  journal.state.deadline = journal.now + absl::Seconds(1);
  Journal answered = journal;
  Decide(answered, Answer("42"));
  for (Journal* each : {&journal, &answered}) {
    each->now += absl::Seconds(2);
    each->active = FromProto(each->state.limits.timeout());
  }
  EXPECT_EQ(NameOf(StopOf(answered)), "FINAL_ANSWER");
  EXPECT_EQ(NameOf(StopOf(journal)), "TIMEOUT deadline");
}

TEST_F(StopOrderTest, TheTimeoutComesBeforeOpenCallsAndThoseBeforeOtherLimits) {
  Journal journal(Limits(/*steps=*/1, /*calls=*/1));
  Decide(journal, Calls({{"safe", "{}"}}));
  journal.Settle(*plan);
  EXPECT_EQ(journal.WhatNext(*plan).effects.size(), 1u) << "max_steps is met, and the call is under way";
  journal.active = FromProto(journal.state.limits.timeout());
  EXPECT_EQ(NameOf(StopOf(journal)), "TIMEOUT timeout");
}

class JournalBoundTest : public JournalTest {
 protected:
  // The dearest step that there is: each call fails twice, and the third attempt answers with as much as an event takes.
  void DearestStep(Journal& journal) {
    Asked asked;
    for (int i = 0; i < kCallsPerDecisionMax; ++i) asked.emplace_back("safe", "{}");
    ModelOutcome outcome = Calls(asked);
    outcome.decision->add_content()->set_text(std::string(static_cast<size_t>(kDecisionTextBytesMax), 'x'));
    Decide(journal, std::move(outcome));
    for (int attempt = 1; attempt <= kToolAttemptsMax; ++attempt) {
      journal.now += absl::Minutes(10);
      journal.Settle(*plan);
      for (int i = 1; i <= kCallsPerDecisionMax; ++i) {
        ToolOutcome end = ToolFailed{.message = std::string(1000, 'e'), .retryable = true};
        if (attempt == kToolAttemptsMax) end = Done(std::string(static_cast<size_t>(kResultBytesMax) - 16, 'y'));
        End(journal, i, std::move(end));
      }
    }
  }
  static bool Decides(const Next& next) { return next.facts.size() == 1 && next.facts[0].has_model_called(); }

  void ExpectFull(Journal& journal) {
    const v1::Stop& stop = StopOf(journal);
    EXPECT_EQ(stop.error().reason(), "JOURNAL_FULL");
    EXPECT_FALSE(stop.resumable());
    EXPECT_NE(stop.detail().find("at most 100000 events and 67108864 bytes"), std::string::npos) << stop.detail();
    EXPECT_LE(journal.state.last_sequence, kEventsMax);
    EXPECT_LE(journal.state.journal_bytes, kJournalBytesMax);
  }
};

// The last decision that is still asked for leaves room for all that it may bring, and for the stop.
TEST_F(JournalBoundTest, TheNumberOfEventsIsBounded) {
  Journal journal(Limits(10'000, 100'000, 1'000'000'000));
  journal.Add([] {
    v1::Event fact;
    fact.mutable_run_started()->set_cause(v1::START_CAUSE_FIRST);
    return fact;
  }());
  journal.state.last_sequence = kEventsMax;
  while (!Decides(journal.WhatNext(*plan))) --journal.state.last_sequence;
  ASSERT_GT(journal.state.last_sequence, kEventsMax / 2);
  DearestStep(journal);
  ExpectFull(journal);
}

TEST_F(JournalBoundTest, TheBytesAreBounded) {
  Journal journal(Limits(10'000, 100'000, 1'000'000'000));
  journal.Add([] {
    v1::Event fact;
    fact.mutable_run_started()->set_cause(v1::START_CAUSE_FIRST);
    return fact;
  }());
  journal.state.journal_bytes = kJournalBytesMax;
  while (!Decides(journal.WhatNext(*plan))) journal.state.journal_bytes -= 1024;
  ASSERT_GT(journal.state.journal_bytes, kJournalBytesMax / 2);
  DearestStep(journal);
  ExpectFull(journal);
}

// A stop may leave a run resumable for ever: what resumes add is bounded like everything else.
TEST_F(JournalBoundTest, AFullOneIsNotResumed) {
  Journal journal;
  journal.active = FromProto(journal.state.limits.timeout());
  ASSERT_EQ(NameOf(StopOf(journal)), "TIMEOUT timeout");
  v1::Limits raised;
  *raised.mutable_timeout() = ToProto(absl::Hours(24));
  std::vector<v1::Part> input(1);
  input[0].set_text(std::string(1000, 'x'));
  const auto check = [&] { return CheckResume(journal.state, journal.now, raised, std::nullopt, input); };
  EXPECT_TRUE(check().ok());
  const int64_t bytes = std::exchange(journal.state.journal_bytes, kJournalBytesMax);
  while (!check().ok()) journal.state.journal_bytes -= 100;
  EXPECT_GT(journal.state.journal_bytes, kJournalBytesMax / 2);
  journal.state.journal_bytes += 1000;
  EXPECT_EQ(ReasonOf(check()), v1::ERROR_REASON_JOURNAL_FULL);
  journal.state.journal_bytes = bytes;
  journal.state.last_sequence = kEventsMax - 1;
  EXPECT_EQ(ReasonOf(check()), v1::ERROR_REASON_JOURNAL_FULL);
}

}  // namespace
}  // namespace agentruntime
