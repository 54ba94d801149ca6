// Create, append, read, delete: the writing half of Store.
#include <gmock/gmock.h>

#include <thread>
#include <utility>

#include "proto/util/errors.h"
#include "tests/conformance/store_calls.h"
#include "tests/conformance/store_suite.h"

namespace agentruntime {
namespace {

class JournalSuite : public StoreSuite {};

using Kind = CreateOutcome::Kind;
using ::testing::ElementsAre;

TEST_P(JournalSuite, CreatedRunIsReadBack) {
  const NewRun run = TestRun(TestRunId(1), {.labels = {{"customer", "acme"}, {"team", "search"}}, .created = 5});
  const CreateOutcome outcome = CreateNow(store(), run);
  EXPECT_EQ(outcome.kind, Kind::kCreated);
  EXPECT_EQ(outcome.run, run.id);

  const auto record = store().GetRun(run.id);
  ASSERT_TRUE(record.ok()) << record.status();
  RunRecord expected;
  expected.id = run.id;
  expected.agent = "agents/docs/revisions/1";
  expected.title = run.title;
  expected.labels = {{"customer", "acme"}, {"team", "search"}};
  expected.create_time = TestTime(5);
  expected.projection = run.projection;
  EXPECT_EQ(ToText(*record), ToText(expected));

  const auto events = ReadAll(store(), run.id);
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->size(), 1u);
  EXPECT_EQ((*events)[0]->DebugString(), run.created->DebugString());
}

TEST_P(JournalSuite, UnknownRunIsNotFound) {
  EXPECT_EQ(store().GetRun(TestRunId(1)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store().ReadEvents(TestRunId(1), 0, ReadLimit()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(DeleteNow(store(), TestRunId(1))), v1::ERROR_REASON_RUN_NOT_FOUND);
}

TEST_P(JournalSuite, EventsAreReadBackWholeAndInOrder) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  AppendRequest request = TestAppend(run, store().epoch(), 1, 3);
  const std::vector<EventPtr> sent = request.events;
  EXPECT_EQ(AppendNow(store(), std::move(request)), AppendResult::kDurable);
  const auto events = ReadAll(store(), run);
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_THAT(Sequences(*events), ElementsAre(1, 2, 3, 4));
  for (size_t i = 0; i < sent.size(); ++i) EXPECT_EQ((*events)[i + 1]->DebugString(), sent[i]->DebugString());
}

TEST_P(JournalSuite, ProjectionOfTheLastAppendIsRead) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  for (const RunProjection& projection : {TestProjection(2), TestProjection(3, v1::RUN_STATE_WAITING), StoppedProjection(4, v1::STOP_REASON_MAX_STEPS)}) {
    ASSERT_EQ(AppendNow(store(), TestAppend(run, store().epoch(), projection.last_sequence - 1, 1, projection)), AppendResult::kDurable);
    const auto record = store().GetRun(run);
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(ToText(record->projection), ToText(projection));
  }
}

TEST_P(JournalSuite, AbsentFieldsOfAProjectionStayAbsent) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  RunProjection projection;
  projection.state = v1::RUN_STATE_RUNNING;
  projection.last_sequence = 2;
  AppendNow(store(), TestAppend(run, store().epoch(), 1, 1, projection));
  EXPECT_EQ(ToText(store().GetRun(run)->projection), ToText(projection));
}

TEST_P(JournalSuite, EverythingIsThereAfterReopening) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run, {.request_id = "job-1"}));
  AppendNow(store(), TestAppend(run, store().epoch(), 1, 2));
  const std::string before = ToText(*store().GetRun(run));
  Reopen();
  EXPECT_EQ(ToText(*store().GetRun(run)), before);
  EXPECT_THAT(Sequences(*ReadAll(store(), run)), ElementsAre(1, 2, 3));
  EXPECT_EQ(CreateNow(store(), TestRun(TestRunId(2), {.request_id = "job-1"})).kind, Kind::kExists);
}

TEST_P(JournalSuite, WhatIsQueuedWhenTheStoreClosesIsDurable) {
  const RunId run = TestRunId(1);
  const Epoch epoch = store().epoch();
  store().Create(TestRun(run), [](CreateOutcome) {});
  for (Sequence last = 1; last < 100; ++last) store().Append(TestAppend(run, epoch, last), [](AppendResult) {});
  Reopen();
  EXPECT_EQ(store().GetRun(run)->projection.last_sequence, 100);
}

TEST_P(JournalSuite, EpochGrowsWithEachOpening) {
  const Epoch first = store().epoch();
  Reopen();
  const Epoch second = store().epoch();
  EXPECT_GT(second, first);
  Reopen();
  EXPECT_GT(store().epoch(), second);
}

TEST_P(JournalSuite, AppendOfAnOlderEpochIsLost) {
  const RunId run = TestRunId(1);
  const Epoch old = store().epoch();
  CreateNow(store(), TestRun(run));
  Reopen();
  EXPECT_EQ(AppendNow(store(), TestAppend(run, old, 1)), AppendResult::kLost);
  EXPECT_THAT(Sequences(*ReadAll(store(), run)), ElementsAre(1));
  EXPECT_EQ(AppendNow(store(), TestAppend(run, store().epoch(), 1)), AppendResult::kDurable);
}

TEST_P(JournalSuite, AppendAfterAnotherLastSequenceIsLostWhole) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  AppendNow(store(), TestAppend(run, store().epoch(), 1));
  const std::string before = ToText(*store().GetRun(run));
  EXPECT_EQ(AppendNow(store(), TestAppend(run, store().epoch(), 1, 3)), AppendResult::kLost);  // behind
  EXPECT_EQ(AppendNow(store(), TestAppend(run, store().epoch(), 3, 3)), AppendResult::kLost);  // ahead
  EXPECT_THAT(Sequences(*ReadAll(store(), run)), ElementsAre(1, 2));
  EXPECT_EQ(ToText(*store().GetRun(run)), before);
}

TEST_P(JournalSuite, AppendToAnUnknownRunIsLost) { EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 1)), AppendResult::kLost); }

TEST_P(JournalSuite, AfterALostAppendThoseQueuedBehindItAreLostToo) {
  const RunId run = TestRunId(1);
  const RunId other = TestRunId(2);
  CreateNow(store(), TestRun(run));
  CreateNow(store(), TestRun(other));
  Plug plug(store(), TestRunId(3));
  Awaited<AppendResult> wrong, right, innocent;
  store().Append(TestAppend(run, store().epoch(), 7), [&](AppendResult result) { wrong.Set(result); });
  store().Append(TestAppend(run, store().epoch(), 1), [&](AppendResult result) { right.Set(result); });
  store().Append(TestAppend(other, store().epoch(), 1), [&](AppendResult result) { innocent.Set(result); });
  plug.Release();
  EXPECT_EQ(wrong.Wait(), AppendResult::kLost);
  EXPECT_EQ(right.Wait(), AppendResult::kLost);
  EXPECT_EQ(innocent.Wait(), AppendResult::kDurable);
  // Who has heard of the loss begins anew.
  EXPECT_EQ(AppendNow(store(), TestAppend(run, store().epoch(), 1)), AppendResult::kDurable);
}

TEST_P(JournalSuite, ALossReachesAppendsOfLaterBatchesThatWereQueuedBeforeItWasKnown) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  Plug plug(store(), TestRunId(3));
  Awaited<AppendResult> wrong, late;
  store().Append(TestAppend(run, store().epoch(), 7), [&](AppendResult result) { wrong.Set(result); });
  // More than any one batch takes, so that the last one is in another.
  for (int i = 0; i < 3000; ++i) store().Append(TestAppend(TestRunId(100 + i), store().epoch(), 1), [](AppendResult) {});
  store().Append(TestAppend(run, store().epoch(), 1), [&](AppendResult result) { late.Set(result); });
  plug.Release();
  EXPECT_EQ(wrong.Wait(), AppendResult::kLost);
  EXPECT_EQ(late.Wait(), AppendResult::kLost);
  EXPECT_EQ(AppendNow(store(), TestAppend(run, store().epoch(), 1)), AppendResult::kDurable);
}

// A session runs ahead of its run's creation.
TEST_P(JournalSuite, AnAppendBehindACreateThatIsRefusedIsLostAndTouchesNothing) {
  const RunId known = TestRunId(1), refused = TestRunId(2);
  CreateNow(store(), TestRun(known, {.request_id = "once"}));
  Plug plug(store(), TestRunId(3));
  Awaited<CreateOutcome> created;
  Awaited<AppendResult> appended;
  store().Create(TestRun(refused, {.request_id = "once"}), [&](CreateOutcome outcome) { created.Set(outcome); });
  store().Append(TestAppend(refused, store().epoch(), 1), [&](AppendResult result) { appended.Set(result); });
  plug.Release();
  const CreateOutcome outcome = created.Wait();
  EXPECT_EQ(outcome.kind, CreateOutcome::Kind::kExists);
  EXPECT_EQ(outcome.run, known);
  EXPECT_EQ(appended.Wait(), AppendResult::kLost);
  EXPECT_TRUE(absl::IsNotFound(store().GetRun(refused).status()));
  EXPECT_EQ(store().GetRun(known)->projection.last_sequence, 1);
}

TEST_P(JournalSuite, AppendsOfOneRunInOneBatchAreAllThere) {
  const RunId run = TestRunId(1);
  Plug plug(store(), TestRunId(2));
  Awaited<AppendResult> last;
  store().Create(TestRun(run), [](CreateOutcome) {});
  for (Sequence after = 1; after < 10; ++after) {
    store().Append(TestAppend(run, store().epoch(), after), [&, after](AppendResult result) {
      if (after == 9) last.Set(result);
    });
  }
  plug.Release();
  EXPECT_EQ(last.Wait(), AppendResult::kDurable);
  EXPECT_EQ(ReadAll(store(), run)->size(), 10u);
  EXPECT_EQ(ToText(store().GetRun(run)->projection), ToText(TestProjection(10)));
}

TEST_P(JournalSuite, CompletionsComeInTheOrderOfTheCalls) {
  const Epoch epoch = store().epoch();
  std::vector<int> order;  // of the store's thread until `done`
  Awaited<bool> done;
  for (int i = 0; i < 50; ++i) {
    const RunId run = TestRunId(i + 1);
    store().Create(TestRun(run), [&order, i](CreateOutcome) { order.push_back(3 * i); });
    store().Append(TestAppend(run, epoch, 1, 1, StoppedProjection(2)), [&order, i](AppendResult) { order.push_back(3 * i + 1); });
    store().Delete(run, [&order, &done, i](absl::Status) {
      order.push_back(3 * i + 2);
      if (i == 49) done.Set(true);
    });
  }
  done.Wait();
  std::vector<int> expected(150);
  for (int i = 0; i < 150; ++i) expected[static_cast<size_t>(i)] = i;
  EXPECT_EQ(order, expected);
}

TEST_P(JournalSuite, ACompletionIsReadableAtOnce) {
  for (int i = 1; i <= 20; ++i) {
    const RunId run = TestRunId(i);
    CreateNow(store(), TestRun(run));
    EXPECT_TRUE(store().GetRun(run).ok());
    AppendNow(store(), TestAppend(run, store().epoch(), 1));
    EXPECT_EQ(store().ReadEvents(run, 1, ReadLimit())->size(), 1u);
  }
}

TEST_P(JournalSuite, RequestIdWithTheSameHashIsTheSameRun) {
  CreateNow(store(), TestRun(TestRunId(1), {.request_id = "job-1", .request_hash = "a"}));
  const CreateOutcome same = CreateNow(store(), TestRun(TestRunId(2), {.request_id = "job-1", .request_hash = "a"}));
  EXPECT_EQ(same.kind, Kind::kExists);
  EXPECT_EQ(same.run, TestRunId(1));
  const CreateOutcome other = CreateNow(store(), TestRun(TestRunId(3), {.request_id = "job-1", .request_hash = "b"}));
  EXPECT_EQ(other.kind, Kind::kReused);
  EXPECT_EQ(other.run, TestRunId(1));
  EXPECT_EQ(store().GetRun(TestRunId(2)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store().GetRun(TestRunId(3)).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(JournalSuite, ARequestIdIsLookedUpWithoutCreating) {
  const auto find = [this](const std::string& tenant, const std::string& id, const std::string& hash) { return *store().FindRequest(tenant, id, hash); };
  CreateNow(store(), TestRun(TestRunId(1), {.request_id = "job-1", .request_hash = "a", .tenant = "t"}));
  CreateNow(store(), TestRun(TestRunId(2)));
  ASSERT_TRUE(find("t", "job-1", "a"));
  EXPECT_EQ(find("t", "job-1", "a")->kind, Kind::kExists);
  EXPECT_EQ(find("t", "job-1", "a")->run, TestRunId(1));
  EXPECT_EQ(find("t", "job-1", "b")->kind, Kind::kReused);
  EXPECT_FALSE(find("u", "job-1", "a"));
  EXPECT_FALSE(find("t", "job-2", "a"));
  EXPECT_FALSE(find("", "", "hash"));
  AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 1, 1, StoppedProjection(2)));
  EXPECT_TRUE(DeleteNow(store(), TestRunId(1)).ok());
  Reopen();
  EXPECT_EQ(find("t", "job-1", "a")->kind, Kind::kDeleted);
}

TEST_P(JournalSuite, RequestIdsOfOneBatchAreSeen) {
  Plug plug(store(), TestRunId(9));
  Awaited<CreateOutcome> first, second;
  store().Create(TestRun(TestRunId(1), {.request_id = "job-1"}), [&](CreateOutcome outcome) { first.Set(outcome); });
  store().Create(TestRun(TestRunId(2), {.request_id = "job-1"}), [&](CreateOutcome outcome) { second.Set(outcome); });
  plug.Release();
  EXPECT_EQ(first.Wait().kind, Kind::kCreated);
  const CreateOutcome outcome = second.Wait();
  EXPECT_EQ(outcome.kind, Kind::kExists);
  EXPECT_EQ(outcome.run, TestRunId(1));
}

TEST_P(JournalSuite, RequestIdsAreOfOneTenant) {
  CreateNow(store(), TestRun(TestRunId(1), {.request_id = "job-1", .tenant = "a"}));
  EXPECT_EQ(CreateNow(store(), TestRun(TestRunId(2), {.request_id = "job-1", .tenant = "b"})).kind, Kind::kCreated);
}

TEST_P(JournalSuite, RunsWithoutRequestIdAreAllNew) {
  EXPECT_EQ(CreateNow(store(), TestRun(TestRunId(1))).kind, Kind::kCreated);
  EXPECT_EQ(CreateNow(store(), TestRun(TestRunId(2))).kind, Kind::kCreated);
}

TEST_P(JournalSuite, AnIdIsNeverGivenTwice) {
  CreateNow(store(), TestRun(TestRunId(1)));
  EXPECT_NE(CreateNow(store(), TestRun(TestRunId(1), {.request_id = "other"})).kind, Kind::kCreated);
  EXPECT_EQ(ReadAll(store(), TestRunId(1))->size(), 1u);
}

TEST_P(JournalSuite, DeletedRunIsGoneAndItsRequestIdIsRemembered) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run, {.request_id = "job-1", .labels = {{"customer", "acme"}}}));
  AppendNow(store(), TestAppend(run, store().epoch(), 1, 5, StoppedProjection(6)));
  EXPECT_TRUE(DeleteNow(store(), run).ok());
  EXPECT_EQ(store().GetRun(run).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store().ReadEvents(run, 0, ReadLimit()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store().ListRuns({.labels = {{"customer", "acme"}}})->runs.empty());
  EXPECT_EQ(AppendNow(store(), TestAppend(run, store().epoch(), 6)), AppendResult::kLost);
  EXPECT_EQ(DeleteNow(store(), run).code(), absl::StatusCode::kNotFound);
  Reopen();
  const CreateOutcome outcome = CreateNow(store(), TestRun(TestRunId(2), {.request_id = "job-1"}));
  EXPECT_EQ(outcome.kind, Kind::kDeleted);
  EXPECT_EQ(outcome.run, run);
}

TEST_P(JournalSuite, OnlyStoppedRunsAreDeleted) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  EXPECT_EQ(ReasonOf(DeleteNow(store(), run)), v1::ERROR_REASON_RUN_NOT_STOPPED);
  for (const v1::RunState state : {v1::RUN_STATE_RUNNING, v1::RUN_STATE_WAITING}) {
    const Sequence last = store().GetRun(run)->projection.last_sequence;
    AppendNow(store(), TestAppend(run, store().epoch(), last, 1, TestProjection(last + 1, state)));
    EXPECT_EQ(DeleteNow(store(), run).code(), absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(ReadAll(store(), run)->size(), 3u);
}

TEST_P(JournalSuite, DeleteSeesTheAppendBeforeItInTheSameBatch) {
  const RunId run = TestRunId(1);
  Plug plug(store(), TestRunId(2));
  Awaited<absl::Status> deleted;
  store().Create(TestRun(run), [](CreateOutcome) {});
  store().Append(TestAppend(run, store().epoch(), 1, 1, StoppedProjection(2)), [](AppendResult) {});
  store().Delete(run, [&](absl::Status status) { deleted.Set(std::move(status)); });
  plug.Release();
  EXPECT_TRUE(deleted.Wait().ok());
  EXPECT_EQ(store().GetRun(run).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(JournalSuite, ReadEndsAtItsLimitOfEvents) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  AppendNow(store(), TestAppend(run, store().epoch(), 1, 9));
  EXPECT_THAT(Sequences(*store().ReadEvents(run, 0, {.events_max = 3})), ElementsAre(1, 2, 3));
  EXPECT_THAT(Sequences(*store().ReadEvents(run, 8, {.events_max = 3})), ElementsAre(9, 10));
  EXPECT_TRUE(store().ReadEvents(run, 10, {.events_max = 3})->empty());
}

TEST_P(JournalSuite, ReadEndsAtItsLimitOfBytesButHasOneEvent) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  AppendNow(store(), TestAppend(run, store().epoch(), 1, 9));  // 100 bytes and a little each
  EXPECT_THAT(Sequences(*store().ReadEvents(run, 1, {.bytes_max = 250})), ElementsAre(2, 3));
  EXPECT_THAT(Sequences(*store().ReadEvents(run, 1, {.bytes_max = 1})), ElementsAre(2));
}

TEST_P(JournalSuite, AnEventOfOneMebibyteIsKept) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  AppendRequest request = TestAppend(run, store().epoch(), 1);
  request.events = {TestEvent(2, store().epoch(), (1 << 20) - 64)};
  const std::string sent = request.events[0]->SerializeAsString();
  EXPECT_EQ(AppendNow(store(), std::move(request)), AppendResult::kDurable);
  EXPECT_EQ((*store().ReadEvents(run, 1, ReadLimit()))[0]->SerializeAsString(), sent);
}

TEST_P(JournalSuite, TenThousandAppends) {
  const Epoch epoch = store().epoch();
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  Awaited<AppendResult> last;
  for (Sequence after = 1; after <= 10'000; ++after) {
    store().Append(TestAppend(run, epoch, after), [&, after](AppendResult result) {
      if (after == 10'000) last.Set(result);
    });
  }
  EXPECT_EQ(last.Wait(), AppendResult::kDurable);
  const auto events = ReadAll(store(), run);
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_EQ(events->size(), 10'001u);
}

TEST_P(JournalSuite, FourThreadsWriteAndRead) {
  constexpr int kThreads = 4;
  constexpr int kRuns = 20;
  constexpr int kAppends = 10;
  std::vector<std::thread> threads;
  std::vector<int> durable(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int r = 0; r < kRuns; ++r) {
        const RunId run = TestRunId(1 + t * kRuns + r);
        if (CreateNow(store(), TestRun(run, {.labels = {{"thread", std::to_string(t)}}})).kind != Kind::kCreated) return;
        for (Sequence after = 1; after <= kAppends; ++after) {
          if (AppendNow(store(), TestAppend(run, store().epoch(), after)) == AppendResult::kDurable) ++durable[static_cast<size_t>(t)];
          if (store().ReadEvents(run, after, ReadLimit())->size() != 1) return;
        }
        // A loss that is somebody's own fault, met by all threads at once.
        AppendNow(store(), TestAppend(run, store().epoch(), 77));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(durable, std::vector<int>(kThreads, kRuns * kAppends));
  EXPECT_EQ(store().ListRuns({.limit = 1000})->runs.size(), static_cast<size_t>(kThreads * kRuns));
}

INSTANTIATE_TEST_SUITE_P(Stores, JournalSuite, testing::ValuesIn(StoreKinds()), NameOfKind);

}  // namespace
}  // namespace agentruntime
