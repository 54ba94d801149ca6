// Which stop is named where several conditions hold, and the bounds of a journal.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "runtime/ask.h"
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
  // As late as one more decision is asked for; `place(back)`: how many events and bytes there are then, the fewer the further back. Not yet asked.
  template <typename Place>
  void AlmostFull(Journal& journal, Place place) {
    journal.Add([] {
      v1::Event fact;
      fact.mutable_run_started()->set_cause(v1::START_CAUSE_FIRST);
      return fact;
    }());
    const std::pair<int64_t, int64_t> empty = {journal.state.last_sequence, journal.state.journal_bytes};
    int64_t back = 0;
    do {
      const std::pair<int64_t, int64_t> at = place(back++);
      journal.state.last_sequence = std::max(at.first, empty.first);
      journal.state.journal_bytes = std::max(at.second, empty.second);
    } while (!Decides(journal.WhatNext(*plan)));
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

// Each start begins what was open anew, and each call that ends in between lets the next starts count from nothing.
TEST_F(JournalBoundTest, StartsBeginOpenCallsAnewWithinTheBoundOnly) {
  Journal journal(Limits(10'000, 100'000, 1'000'000'000));
  AlmostFull(journal, [](int64_t back) { return std::make_pair(kEventsMax - back, int64_t{0}); });
  Decide(journal, Calls(Asked(static_cast<size_t>(kCallsPerDecisionMax), {"safe", "{}"})));
  journal.Settle(*plan);
  for (int call = 1; call <= kCallsPerDecisionMax && !journal.state.is_stopped(); ++call) {
    for (int start = 0; start < kBarrenStartsMax && !journal.state.is_stopped(); ++start) {
      ++journal.epoch;
      journal.Settle(*plan);
    }
    if (!journal.state.is_stopped()) End(journal, call, Done("found"));
  }
  ExpectFull(journal);
}

// What a person gave instead of the model's arguments is in each attempt.
TEST_F(JournalBoundTest, StartsRepeatAPersonsArgumentsWithinTheBoundOnly) {
  auto agent = std::make_shared<v1::Agent>(*plan->agent);
  agent->add_approve_tools("safe");
  plan->agent = std::move(agent);
  Journal journal(Limits(10'000, 100'000, 1'000'000'000));
  AlmostFull(journal, [](int64_t back) { return std::make_pair(int64_t{0}, kJournalBytesMax - 1024 * back); });
  Decide(journal, Calls({{"safe", "{}"}, {"safe", "{}"}}));
  journal.Settle(*plan);
  for (int call = 1; call <= 2; ++call) {
    Resolution allowed;
    allowed.answer.mutable_allow()->set_arguments(std::string(static_cast<size_t>(kArgumentsBytesMax), 'x'));
    journal.AddAll(FactsOfAnswer(*journal.state.FindCall({journal.state.usage.steps(), call}), std::move(allowed)));
  }
  for (int start = 0; start < kBarrenStartsMax && !journal.state.is_stopped(); ++start) {
    ++journal.epoch;
    journal.Settle(*plan);
  }
  ExpectFull(journal);
}

// A server that ended between the two would come back, and again, for ever.
TEST_F(JournalBoundTest, TheStartForWhichThereIsNoRoomStopsTheRunInTheSameAppend) {
  Journal journal(Limits(10'000, 100'000, 1'000'000'000));
  Decide(journal, Calls({{"safe", "{}"}, {"unsafe", "{}"}}));
  journal.Settle(*plan);
  journal.state.last_sequence = kEventsMax - 4;  // the start, both settlements, the stop
  ++journal.epoch;
  const Next next = journal.WhatNext(*plan);
  ASSERT_EQ(next.facts.size(), 4U);
  EXPECT_TRUE(next.facts[0].has_run_started());
  EXPECT_EQ(next.facts[1].call_finished().outcome(), v1::CALL_OUTCOME_CANCELLED);
  EXPECT_EQ(next.facts[2].call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
  EXPECT_TRUE(next.facts[3].has_run_stopped());
  ExpectFull(journal);
}

TEST_F(JournalBoundTest, AStopThatIsDueAnywayKeepsItsName) {
  Journal journal;
  Decide(journal, Answer("42"));
  Journal cancelled;
  cancelled.Settle(*plan);
  cancelled.Add(Cancel());
  for (Journal* each : {&journal, &cancelled}) {
    ++each->epoch;
    each->state.last_sequence = kEventsMax - 2;
    EXPECT_EQ(each->WhatNext(*plan).facts.size(), 2U) << "the start and the stop";
  }
  EXPECT_EQ(NameOf(StopOf(journal)), "FINAL_ANSWER");
  EXPECT_EQ(NameOf(StopOf(cancelled)), "CANCELLED");
  EXPECT_EQ(cancelled.state.usage.input_tokens(), BookedTokens(cancelled.state)) << "the open attempt is booked once";
}

// Whatever happens, in whatever order.
TEST_F(JournalBoundTest, NoJournalOutgrowsItsBounds) {
  std::minstd_rand dice(1);
  const auto below = [&](uint32_t count) { return static_cast<int>(dice() % count); };
  std::map<std::string, int> stops;
  for (int story = 0; story < 300; ++story) {
    v1::Limits limits = Limits(10'000, 100'000, 1'000'000'000);
    limits.set_max_repeats(10'000);
    Journal journal(limits);
    const int64_t ahead = below(1500);
    AlmostFull(journal, [&](int64_t back) { return std::make_pair(kEventsMax - ahead - back, int64_t{0}); });
    const int calls = 1 + below(kCallsPerDecisionMax);
    for (int move = 0; move < 20'000 && !journal.state.is_stopped(); ++move) {
      journal.now += absl::Minutes(1);
      if (journal.state.model.open) {
        Asked asked;
        for (int i = 0; i < calls; ++i) asked.emplace_back(below(3) == 0 ? "unsafe" : "safe", "{}");
        journal.AddAll(FactsOfOutcome(journal.state, *plan, Calls(asked), absl::Milliseconds(1), journal.now, 0.5));
      }
      std::vector<int> open;
      if (const StepState* const step = journal.state.last_step()) {
        for (const CallState& call : step->calls) {
          if (call.phase == CallPhase::kOpen) open.push_back(call.id.index);
        }
      }
      const int what = below(100);
      if (what < 60) ++journal.epoch;
      if (what == 60 && below(50) == 0) journal.Add(Cancel());
      if (what > 60 && !open.empty()) {
        ToolOutcome end = ToolFailed{.message = "busy", .retryable = true};
        if (what > 75) end = ToolUnknown{"gone"};
        if (what > 90) end = Done("found");
        End(journal, open[static_cast<size_t>(below(static_cast<uint32_t>(open.size())))], std::move(end));
      }
      journal.Settle(*plan);
    }
    ASSERT_TRUE(journal.state.is_stopped()) << story;
    ASSERT_LE(journal.state.last_sequence, kEventsMax) << story;
    const v1::Stop& stop = journal.state.stopped->run_stopped().stop();
    ++stops[stop.reason() == v1::STOP_REASON_ERROR ? stop.error().reason() : NameOf(stop)];
  }
  EXPECT_GE(stops["JOURNAL_FULL"], 30) << "few came near the bound";
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
