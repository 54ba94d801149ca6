// Forks: journals that begin in other runs.
#include <gmock/gmock.h>

#include <utility>

#include "proto/util/errors.h"
#include "tests/conformance/store_calls.h"
#include "tests/conformance/store_suite.h"

namespace agentruntime {
namespace {

using Kind = CreateOutcome::Kind;
using ::testing::ElementsAre;

class ForkSuite : public StoreSuite {
 protected:
  // A stopped run of `events` events.
  RunId MakeRun(int number, int events) {
    const RunId run = TestRunId(number);
    EXPECT_EQ(CreateNow(store(), TestRun(run)).kind, Kind::kCreated);
    if (events > 1) {
      EXPECT_EQ(AppendNow(store(), TestAppend(run, store().epoch(), 1, events - 1, StoppedProjection(events))), AppendResult::kDurable);
    }
    return run;
  }
  RunId Fork(int number, const RunId& base, Sequence sequence) {
    const RunId run = TestRunId(number);
    EXPECT_EQ(CreateNow(store(), TestFork(run, base, sequence, store().epoch())).kind, Kind::kCreated);
    return run;
  }
};

TEST_P(ForkSuite, ReadsWhatItSharesAndThenItsOwn) {
  const RunId base = MakeRun(1, 5);
  const NewRun fork = TestFork(TestRunId(2), base, 3, store().epoch());
  ASSERT_EQ(CreateNow(store(), fork).kind, Kind::kCreated);
  AppendRequest own = TestAppend(fork.id, store().epoch(), 4, 2);
  const std::vector<EventPtr> appended = own.events;
  ASSERT_EQ(AppendNow(store(), std::move(own)), AppendResult::kDurable);

  const auto events = ReadAll(store(), fork.id);
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_THAT(Sequences(*events), ElementsAre(1, 2, 3, 4, 5, 6));
  const auto shared = *ReadAll(store(), base);
  ASSERT_THAT(Sequences(shared), ElementsAre(1, 2, 3, 4, 5));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ((*events)[i]->DebugString(), shared[i]->DebugString());
  EXPECT_EQ((*events)[3]->DebugString(), fork.created->DebugString());
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ((*events)[i + 4]->DebugString(), appended[i]->DebugString());
  EXPECT_FALSE(shared[3]->has_run_forked());

  const auto record = store().GetRun(fork.id);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->forked_from, (ForkPoint{base, 3}));
  EXPECT_EQ(record->projection.last_sequence, 6);
}

TEST_P(ForkSuite, PagesGoAcrossTheBorder) {
  const RunId fork = Fork(2, MakeRun(1, 5), 3);
  ASSERT_EQ(AppendNow(store(), TestAppend(fork, store().epoch(), 4, 2)), AppendResult::kDurable);
  for (Sequence after = 0; after <= 6; ++after) {
    for (const int32_t most : {1, 2, 3, 100}) {
      const auto page = store().ReadEvents(fork, after, {.events_max = most});
      ASSERT_TRUE(page.ok()) << page.status();
      std::vector<Sequence> expected;
      for (Sequence next = after + 1; next <= 6 && next <= after + most; ++next) expected.push_back(next);
      EXPECT_EQ(Sequences(*page), expected) << "after " << after << ", at most " << most;
    }
    const auto small = store().ReadEvents(fork, after, {.bytes_max = 1});
    ASSERT_TRUE(small.ok()) << small.status();
    EXPECT_EQ(small->size(), after < 6 ? 1u : 0u);
  }
}

TEST_P(ForkSuite, ForksOfForksReadAlongTheWholeLine) {
  RunId last = MakeRun(1, 2);
  for (int depth = 1; depth <= 8; ++depth) last = Fork(depth + 1, last, depth + 1);
  EXPECT_THAT(Sequences(*ReadAll(store(), last)), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  Reopen();
  const auto events = *ReadAll(store(), last);
  EXPECT_THAT(Sequences(events), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  for (int i = 2; i < 10; ++i) EXPECT_TRUE(events[static_cast<size_t>(i)]->has_run_forked());
}

TEST_P(ForkSuite, OneWithinWhatItsBaseSharesReadsNothingOfTheBase) {
  const RunId first = MakeRun(1, 5);
  const RunId second = Fork(2, first, 4);
  const RunId third = Fork(3, second, 2);
  const auto events = *ReadAll(store(), third);
  ASSERT_THAT(Sequences(events), ElementsAre(1, 2, 3));
  EXPECT_EQ(events[2]->run_forked().source().sequence(), 2);
  EXPECT_EQ(events[1]->DebugString(), (*ReadAll(store(), first))[1]->DebugString());
}

TEST_P(ForkSuite, AnAppendFollowsTheLastEventOfTheWholeJournal) {
  const RunId fork = Fork(2, MakeRun(1, 5), 3);
  EXPECT_EQ(AppendNow(store(), TestAppend(fork, store().epoch(), 5)), AppendResult::kLost);
  EXPECT_EQ(AppendNow(store(), TestAppend(fork, store().epoch(), 4)), AppendResult::kDurable);
}

TEST_P(ForkSuite, WhatItsBaseDoesNotHoldCannotBeShared) {
  const RunId base = MakeRun(1, 3);
  const CreateOutcome beyond = CreateNow(store(), TestFork(TestRunId(2), base, 4, store().epoch()));
  EXPECT_EQ(beyond.kind, Kind::kNoBase);
  EXPECT_EQ(beyond.run, base);
  EXPECT_EQ(CreateNow(store(), TestFork(TestRunId(3), TestRunId(9), 1, store().epoch())).kind, Kind::kNoBase);
  EXPECT_FALSE(store().GetRun(TestRunId(2)).ok());
}

TEST_P(ForkSuite, ABaseIsKeptAsLongAsItHasForks) {
  const RunId base = MakeRun(1, 3);
  const RunId fork = Fork(2, base, 2);
  const absl::Status refused = DeleteNow(store(), base);
  EXPECT_EQ(ReasonOf(refused), v1::ERROR_REASON_RUN_HAS_FORKS);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Sequences(*ReadAll(store(), fork)), ElementsAre(1, 2, 3));
  ASSERT_EQ(AppendNow(store(), TestAppend(fork, store().epoch(), 3, 1, StoppedProjection(4))), AppendResult::kDurable);
  EXPECT_TRUE(DeleteNow(store(), fork).ok());
  EXPECT_THAT(Sequences(*ReadAll(store(), base)), ElementsAre(1, 2, 3));
  EXPECT_TRUE(DeleteNow(store(), base).ok());
}

// The order in which they are queued decides, though both are of one transaction.
TEST_P(ForkSuite, ForkAndDeleteOfOneMomentNeverLeaveAForkWithoutItsBase) {
  const RunId kept = MakeRun(1, 3);
  const RunId gone = MakeRun(2, 3);
  Plug plug(store(), TestRunId(3));
  Awaited<CreateOutcome> forked, too_late;
  Awaited<absl::Status> refused, deleted;
  store().Create(TestFork(TestRunId(4), kept, 2, store().epoch()), [&](CreateOutcome outcome) { forked.Set(outcome); });
  store().Delete(kept, [&](absl::Status status) { refused.Set(std::move(status)); });
  store().Delete(gone, [&](absl::Status status) { deleted.Set(std::move(status)); });
  store().Create(TestFork(TestRunId(5), gone, 2, store().epoch()), [&](CreateOutcome outcome) { too_late.Set(outcome); });
  plug.Release();
  EXPECT_EQ(forked.Wait().kind, Kind::kCreated);
  EXPECT_EQ(ReasonOf(refused.Wait()), v1::ERROR_REASON_RUN_HAS_FORKS);
  EXPECT_TRUE(deleted.Wait().ok());
  EXPECT_EQ(too_late.Wait().kind, Kind::kNoBase);
}

TEST_P(ForkSuite, ItsBaseMayGoOn) {
  const RunId base = TestRunId(1);
  CreateNow(store(), TestRun(base));
  ASSERT_EQ(AppendNow(store(), TestAppend(base, store().epoch(), 1, 2)), AppendResult::kDurable);
  const RunId fork = Fork(2, base, 2);
  ASSERT_EQ(AppendNow(store(), TestAppend(base, store().epoch(), 3, 3)), AppendResult::kDurable);
  EXPECT_THAT(Sequences(*ReadAll(store(), fork)), ElementsAre(1, 2, 3));
  EXPECT_THAT(Sequences(*ReadAll(store(), base)), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_P(ForkSuite, ARequestIdIsOneRunWhetherForkedOrNot) {
  const RunId base = MakeRun(1, 3);
  CreateNow(store(), TestRun(TestRunId(2), {.request_id = "job-1", .request_hash = "new"}));
  const CreateOutcome other = CreateNow(store(), TestFork(TestRunId(3), base, 2, store().epoch(), {.request_id = "job-1", .request_hash = "fork"}));
  EXPECT_EQ(other.kind, Kind::kReused);
  EXPECT_EQ(other.run, TestRunId(2));
  const NewRun fork = TestFork(TestRunId(4), base, 2, store().epoch(), {.request_id = "job-2", .request_hash = "fork"});
  EXPECT_EQ(CreateNow(store(), fork).kind, Kind::kCreated);
  NewRun again = fork;
  again.id = TestRunId(5);
  const CreateOutcome known = CreateNow(store(), again);
  EXPECT_EQ(known.kind, Kind::kExists);
  EXPECT_EQ(known.run, fork.id);
}

INSTANTIATE_TEST_SUITE_P(Stores, ForkSuite, testing::ValuesIn(StoreKinds()), NameOfKind);

}  // namespace
}  // namespace agentruntime
