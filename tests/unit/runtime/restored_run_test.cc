// What becomes of runs that were unfinished in a store when it was copied, once the copy is started as restored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "proto/util/time.h"
#include "runtime/view.h"
#include "tests/unit/runtime/journal_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::Journal;
using testing::JournalTest;

class RestoredTest : public JournalTest {
 protected:
  // The next server opens the store as a restored copy.
  static void Restore(Journal& journal) { journal.restored = ++journal.epoch; }
  // Everything is recorded that there is to record; the run stopped, and nothing was begun.
  void ExpectHeld(Journal& journal) {
    const size_t before = journal.events.size();
    journal.Settle(*plan);
    ASSERT_TRUE(journal.state.is_stopped()) << "what was unfinished in a restored store goes on";
    const v1::Stop& stop = journal.state.stopped->run_stopped().stop();
    EXPECT_EQ(stop.reason(), v1::STOP_REASON_ERROR);
    EXPECT_EQ(stop.error().reason(), "RESTORED");
    EXPECT_TRUE(stop.resumable());
    for (size_t i = before; i < journal.events.size(); ++i) {
      EXPECT_FALSE(journal.events[i]->has_model_called() || journal.events[i]->has_call_started()) << journal.events[i]->ShortDebugString();
    }
    EXPECT_TRUE(journal.WhatNext(*plan).effects.empty());
  }
  static void Resume(Journal& journal) {
    v1::Event resumed;
    resumed.mutable_run_resumed();
    journal.Add(std::move(resumed));
  }
  v1::CallOutcome OutcomeOf(const Journal& journal, size_t call) { return journal.state.last_step()->calls[call].finished->call_finished().outcome(); }
  // A run with one attempt of each tool under way.
  void BeginCalls(Journal& journal) {
    Decide(journal, Calls({{"safe", "{}"}, {"unsafe", "{}"}}));
    journal.Settle(*plan);
    ASSERT_EQ(journal.WhatNext(*plan).effects.size(), 2u);
  }
};

TEST_F(RestoredTest, CallsUnderWayAreSettledAndNotRepeated) {
  Journal journal;
  BeginCalls(journal);
  Restore(journal);
  ASSERT_NO_FATAL_FAILURE(ExpectHeld(journal));
  EXPECT_EQ(OutcomeOf(journal, 0), v1::CALL_OUTCOME_CANCELLED);
  EXPECT_EQ(OutcomeOf(journal, 1), v1::CALL_OUTCOME_UNCERTAIN);
  Resume(journal);
  Decide(journal, Answer("42"));
  journal.Settle(*plan);
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(RestoredTest, AModelUnderWayIsBookedAtItsReservation) {
  Journal journal;
  journal.Settle(*plan);
  const int64_t reserved = journal.state.model.reserved_tokens;
  ASSERT_GT(reserved, 0);
  Restore(journal);
  ExpectHeld(journal);
  EXPECT_EQ(BookedTokens(journal.state), reserved);
}

TEST_F(RestoredTest, AQueuedRunStopsWithoutWaitingForItsTime) {
  Journal journal;
  v1::Event created = *journal.events[0];
  *created.mutable_run_created()->mutable_not_before_time() = ToProto(journal.now + absl::Hours(5));
  created.clear_sequence();
  Journal later;
  later.state = RunState();
  later.state.id = journal.state.id;
  later.events.clear();
  later.Add(std::move(created));
  ASSERT_TRUE(later.WhatNext(*plan).facts.empty());
  Restore(later);
  ExpectHeld(later);
  Resume(later);
  EXPECT_TRUE(later.WhatNext(*plan).facts.empty()) << "resumed, it waits for its time as before";
}

// Held, whatever else would have stopped it: who restores a store finds one reason for what was unfinished in it.
TEST_F(RestoredTest, AQueuedRunWhoseDeadlineIsOverIsHeld) {
  Journal journal;
  v1::Event created = *journal.events[0];
  *created.mutable_run_created()->mutable_deadline() = ToProto(journal.now - absl::Seconds(1));
  created.clear_sequence();
  Journal late;
  late.state = RunState();
  late.state.id = journal.state.id;
  late.events.clear();
  late.Add(std::move(created));
  Restore(late);
  ExpectHeld(late);
}

TEST_F(RestoredTest, AWaitingRunStops) {
  auto agent = std::make_shared<v1::Agent>(*plan->agent);
  agent->set_on_uncertain_call(v1::UNCERTAIN_CALL_ACTION_ASK);
  plan->agent = agent;
  Journal journal;
  Decide(journal, Calls({{"unsafe", "{}"}}));
  journal.Settle(*plan);
  ++journal.epoch;
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_waiting());
  Restore(journal);
  // A crash between the start and the stop: who sleeps would not be taken up again.
  journal.AddAll(journal.WhatNext(*plan).facts);
  EXPECT_EQ(journal.state.phase, v1::RUN_STATE_RUNNING);
  EXPECT_FALSE(ProjectionOf(journal.state).wake_time.has_value());
  ASSERT_NO_FATAL_FAILURE(ExpectHeld(journal));
  EXPECT_EQ(OutcomeOf(journal, 0), v1::CALL_OUTCOME_UNCERTAIN);
}

TEST_F(RestoredTest, TheStoreRemembersWhereTheStartDidNotComeSoFar) {
  Journal journal;
  BeginCalls(journal);
  Restore(journal);
  ++journal.epoch;  // a start without the flag
  ExpectHeld(journal);
}

TEST_F(RestoredTest, AStartThatEndsBeforeTheStopIsNoWayOut) {
  Journal journal;
  BeginCalls(journal);
  Restore(journal);
  Next next = journal.WhatNext(*plan);
  ASSERT_EQ(next.facts.size(), 1u);
  EXPECT_EQ(next.facts[0].run_started().cause(), v1::START_CAUSE_RESTORED);
  journal.AddAll(std::move(next.facts));
  ++journal.epoch;
  ExpectHeld(journal);
}

TEST_F(RestoredTest, NothingIsTakenBeforeTheHold) {
  Journal queued;
  EXPECT_FALSE(IsToBeTakenUp(queued.state, {queued.epoch, queued.restored}));
  Restore(queued);
  EXPECT_TRUE(IsToBeTakenUp(queued.state, {queued.epoch, queued.restored})) << "any event would look as if the run had begun here";
  ExpectHeld(queued);
  EXPECT_FALSE(IsToBeTakenUp(queued.state, {queued.epoch, queued.restored}));
}

TEST_F(RestoredTest, WhatWasCancelledIsCancelled) {
  Journal journal;
  BeginCalls(journal);
  v1::Event cancel;
  *cancel.mutable_cancel_requested()->mutable_grace() = ToProto(kCancelGrace);
  journal.Add(std::move(cancel));
  Restore(journal);
  journal.Settle(*plan);
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_EQ(OutcomeOf(journal, 1), v1::CALL_OUTCOME_UNCERTAIN);
}

TEST_F(RestoredTest, WhatBeganOrWasResumedSinceGoesOn) {
  Journal old;
  Restore(old);
  ExpectHeld(old);
  Resume(old);
  old.epoch += 3;  // restarts, without the flag
  old.Settle(*plan);
  EXPECT_TRUE(old.state.model.open);

  Journal fresh;
  Journal born;
  born.epoch = born.restored = 7;
  born.state = RunState();
  born.state.id = fresh.state.id;
  born.events.clear();
  v1::Event created = *fresh.events[0];
  born.Add(std::move(created));
  born.epoch = 8;
  born.Settle(*plan);
  EXPECT_TRUE(born.state.model.open);
}

TEST_F(RestoredTest, AStoppedRunStaysAsItIs) {
  Journal journal;
  Decide(journal, Answer("42"));
  journal.Settle(*plan);
  const size_t events = journal.events.size();
  Restore(journal);
  journal.Settle(*plan);
  EXPECT_EQ(journal.events.size(), events);
}

}  // namespace
}  // namespace agentruntime
