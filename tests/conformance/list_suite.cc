// Lists and counts: the reading half of Store.
#include <gmock/gmock.h>

#include <utility>

#include "proto/util/time.h"
#include "tests/conformance/store_calls.h"
#include "tests/conformance/store_suite.h"

namespace agentruntime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Numbers of TestRunId, in the order they came.
std::vector<int> Numbers(const std::vector<RunId>& ids) {
  std::vector<int> numbers;
  for (const RunId& id : ids) {
    int number = 0;
    while (number < 5000 && TestRunId(number) != id) ++number;
    numbers.push_back(number);
  }
  return numbers;
}

class ListSuite : public StoreSuite {
 protected:
  void Create(int number, RunOptions options = {}) {
    options.created = number;
    CreateNow(store(), TestRun(TestRunId(number), options));
  }
  void Move(int number, const RunProjection& projection) { AppendNow(store(), TestAppend(TestRunId(number), store().epoch(), 1, 1, projection)); }
  std::vector<int> List(const RunQuery& query) {
    const auto page = store().ListRuns(query);
    if (!page.ok()) {
      ADD_FAILURE() << page.status();
      return {};
    }
    std::vector<RunId> ids;
    for (const RunRecord& record : page->runs) ids.push_back(record.id);
    return Numbers(ids);
  }
};

TEST_P(ListSuite, EmptyStore) {
  const auto page = store().ListRuns({});
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(page->runs, IsEmpty());
  EXPECT_FALSE(page->more);
}

TEST_P(ListSuite, NewestFirstUnlessAskedOtherwise) {
  for (const int number : {2, 1, 3}) Create(number);
  EXPECT_THAT(List({}), ElementsAre(3, 2, 1));
  EXPECT_THAT(List({.oldest_first = true}), ElementsAre(1, 2, 3));
}

TEST_P(ListSuite, AListThatNobodyWaitsForEnds) {
  Create(1);
  std::stop_source stop;
  EXPECT_TRUE(store().ListRuns({}, stop.get_token()).ok());
  stop.request_stop();
  EXPECT_EQ(store().ListRuns({}, stop.get_token()).status().code(), absl::StatusCode::kCancelled);
}

TEST_P(ListSuite, RecordsAreWhole) {
  Create(1, {.labels = {{"a", "b"}}});
  Move(1, StoppedProjection(2));
  EXPECT_EQ(ToText(store().ListRuns({})->runs[0]), ToText(*store().GetRun(TestRunId(1))));
}

TEST_P(ListSuite, PagesFollowEachOtherWithoutGapOrRepeat) {
  for (int number = 1; number <= 7; ++number) Create(number);
  for (const bool oldest_first : {false, true}) {
    RunQuery query{.oldest_first = oldest_first, .limit = 3};
    std::vector<RunId> ids;
    for (int pages = 1;; ++pages) {
      const auto page = store().ListRuns(query);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const RunRecord& record : page->runs) ids.push_back(record.id);
      EXPECT_EQ(page->more, pages < 3);
      if (!page->more) break;
      query.after = ids.back();
    }
    if (oldest_first) {
      EXPECT_THAT(Numbers(ids), ElementsAre(1, 2, 3, 4, 5, 6, 7));
    } else {
      EXPECT_THAT(Numbers(ids), ElementsAre(7, 6, 5, 4, 3, 2, 1));
    }
  }
}

TEST_P(ListSuite, AFullLastPageSaysThatThereIsNoMore) {
  for (int number = 1; number <= 3; ++number) Create(number);
  EXPECT_FALSE(store().ListRuns({.limit = 3})->more);
  EXPECT_TRUE(store().ListRuns({.limit = 2})->more);
}

TEST_P(ListSuite, ByState) {
  for (int number = 1; number <= 4; ++number) Create(number);
  Move(2, TestProjection(2));
  Move(3, TestProjection(2, v1::RUN_STATE_WAITING));
  Move(4, StoppedProjection(2));
  EXPECT_THAT(List({.states = {v1::RUN_STATE_QUEUED}}), ElementsAre(1));
  EXPECT_THAT(List({.states = {v1::RUN_STATE_RUNNING, v1::RUN_STATE_WAITING}}), ElementsAre(3, 2));
  EXPECT_THAT(List({.states = {v1::RUN_STATE_STOPPED}}), ElementsAre(4));
  EXPECT_THAT(List({.states = {v1::RUN_STATE_STOPPED, v1::RUN_STATE_QUEUED}, .oldest_first = true}), ElementsAre(1, 4));
  EXPECT_THAT(List({.states = {v1::RUN_STATE_RUNNING}, .oldest_first = true, .after = TestRunId(2)}), IsEmpty());
}

TEST_P(ListSuite, ByStopReason) {
  for (int number = 1; number <= 3; ++number) Create(number);
  Move(1, StoppedProjection(2, v1::STOP_REASON_ERROR));
  Move(2, StoppedProjection(2, v1::STOP_REASON_MAX_STEPS));
  EXPECT_THAT(List({.stop_reasons = {v1::STOP_REASON_ERROR}}), ElementsAre(1));
  EXPECT_THAT(List({.stop_reasons = {v1::STOP_REASON_ERROR, v1::STOP_REASON_MAX_STEPS}}), ElementsAre(2, 1));
  EXPECT_THAT(List({.stop_reasons = {v1::STOP_REASON_TIMEOUT}}), IsEmpty());
}

TEST_P(ListSuite, ByAgentAndRevision) {
  Create(1, {.agent = "agents/docs/revisions/1"});
  Create(2, {.agent = "agents/docs/revisions/2"});
  Create(3, {.agent = "agents/docs-two/revisions/1"});
  EXPECT_THAT(List({.agent = "docs"}), ElementsAre(2, 1));
  EXPECT_THAT(List({.agent = "docs", .revision = 2}), ElementsAre(2));
  EXPECT_THAT(List({.agent = "other"}), IsEmpty());
}

TEST_P(ListSuite, ByLabels) {
  Create(1, {.labels = {{"customer", "acme"}, {"team", "search"}}});
  Create(2, {.labels = {{"customer", "acme"}}});
  Create(3, {.labels = {{"customer", "other"}, {"team", "search"}}});
  EXPECT_THAT(List({.labels = {{"customer", "acme"}}}), ElementsAre(2, 1));
  EXPECT_THAT(List({.labels = {{"customer", "acme"}}, .oldest_first = true, .limit = 1}), ElementsAre(1));
  EXPECT_THAT(List({.labels = {{"customer", "acme"}}, .after = TestRunId(2)}), ElementsAre(1));
  EXPECT_THAT(List({.labels = {{"customer", "acme"}, {"team", "search"}}}), ElementsAre(1));
  EXPECT_THAT(List({.labels = {{"customer", "search"}}}), IsEmpty());
}

TEST_P(ListSuite, ByCreateTime) {
  for (int number = 1; number <= 4; ++number) Create(number);
  EXPECT_THAT(List({.created_after = TestTime(2)}), ElementsAre(4, 3, 2));
  EXPECT_THAT(List({.created_before = TestTime(2)}), ElementsAre(1));
  EXPECT_THAT(List({.created_after = TestTime(2), .created_before = TestTime(4)}), ElementsAre(3, 2));
}

TEST_P(ListSuite, ByTenant) {
  Create(1, {.tenant = "a", .labels = {{"k", "v"}}});
  Create(2, {.tenant = "b", .labels = {{"k", "v"}}});
  EXPECT_THAT(List({.tenant = "a"}), ElementsAre(1));
  EXPECT_THAT(List({.tenant = "b", .labels = {{"k", "v"}}}), ElementsAre(2));
  EXPECT_THAT(List({}), IsEmpty());
}

TEST_P(ListSuite, AllConditionsMustHold) {
  for (int number = 1; number <= 4; ++number) Create(number, {.labels = {{"k", number % 2 == 0 ? "even" : "odd"}}});
  Move(2, StoppedProjection(2, v1::STOP_REASON_ERROR));
  Move(3, StoppedProjection(2, v1::STOP_REASON_ERROR));
  EXPECT_THAT(List({.states = {v1::RUN_STATE_STOPPED},
                    .stop_reasons = {v1::STOP_REASON_ERROR},
                    .agent = "docs",
                    .labels = {{"k", "even"}},
                    .created_after = TestTime(1),
                    .created_before = TestTime(9)}),
              ElementsAre(2));
}

TEST_P(ListSuite, AFewAmongManyAreFound) {
  Awaited<bool> done;
  for (int number = 1; number <= 2500; ++number) {
    store().Create(
        TestRun(TestRunId(number), {.agent = number % 1200 == 5 ? "agents/rare/revisions/1" : "agents/docs/revisions/1", .labels = {{"all", "yes"}}}),
        [&, number](CreateOutcome) {
          if (number == 2500) done.Set(true);
        });
  }
  done.Wait();
  EXPECT_THAT(List({.agent = "rare"}), ElementsAre(2405, 1205, 5));
  EXPECT_THAT(List({.agent = "rare", .oldest_first = true, .limit = 2}), ElementsAre(5, 1205));
  EXPECT_THAT(List({.states = {v1::RUN_STATE_QUEUED}, .agent = "rare"}), ElementsAre(2405, 1205, 5));
  EXPECT_THAT(List({.agent = "rare", .labels = {{"all", "yes"}}, .oldest_first = true}), ElementsAre(5, 1205, 2405));
  EXPECT_EQ(store().UnfinishedRuns(std::nullopt, 5000)->size(), 2500u);
}

TEST_P(ListSuite, UnfinishedRunsOldestFirst) {
  for (int number = 1; number <= 4; ++number) Create(number);
  Move(1, StoppedProjection(2));
  RunProjection waiting = TestProjection(2, v1::RUN_STATE_WAITING);
  waiting.deadline = TestTime(15);
  Move(3, waiting);
  const auto runs = store().UnfinishedRuns(std::nullopt, 10);
  ASSERT_TRUE(runs.ok()) << runs.status();
  ASSERT_EQ(runs->size(), 3u);
  EXPECT_EQ((*runs)[0].id, TestRunId(2));
  EXPECT_EQ((*runs)[0].state, v1::RUN_STATE_QUEUED);
  EXPECT_EQ((*runs)[0].wake_time, std::nullopt);
  EXPECT_EQ((*runs)[0].deadline, std::nullopt);
  EXPECT_EQ((*runs)[1].id, TestRunId(3));
  EXPECT_EQ((*runs)[1].state, v1::RUN_STATE_WAITING);
  EXPECT_EQ((*runs)[1].barren_starts, 9);
  EXPECT_EQ((*runs)[1].wake_time, TestTime(12));
  EXPECT_EQ((*runs)[1].deadline, TestTime(15));
  EXPECT_EQ((*runs)[1].active_time, FromProto(waiting.usage.active_time()));
  EXPECT_EQ((*runs)[1].timeout, FromProto(waiting.limits.timeout()));
  EXPECT_EQ((*runs)[1].priority, -3);
  EXPECT_EQ((*runs)[2].id, TestRunId(4));
  EXPECT_EQ(store().UnfinishedRuns(std::nullopt, 2)->size(), 2u);
  const auto rest = store().UnfinishedRuns(TestRunId(3), 2);
  ASSERT_EQ(rest->size(), 1u);
  EXPECT_EQ((*rest)[0].id, TestRunId(4));
}

TEST_P(ListSuite, AResumedRunIsUnfinishedAgain) {
  Create(1);
  Move(1, StoppedProjection(2));
  EXPECT_THAT(*store().UnfinishedRuns(std::nullopt, 10), IsEmpty());
  RunProjection projection = StoppedProjection(3);
  projection.state = v1::RUN_STATE_QUEUED;
  projection.stop_time.reset();
  AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 2, 1, projection));
  EXPECT_EQ(store().UnfinishedRuns(std::nullopt, 10)->size(), 1u);
  EXPECT_EQ(ToText(store().GetRun(TestRunId(1))->projection), ToText(projection));
}

TEST_P(ListSuite, InfoCountsRunsByState) {
  for (int number = 1; number <= 6; ++number) Create(number);
  Move(2, TestProjection(2));
  Move(3, TestProjection(2));
  Move(4, TestProjection(2, v1::RUN_STATE_WAITING));
  Move(5, StoppedProjection(2));
  const auto info = store().Info();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->queued, 2);
  EXPECT_EQ(info->running, 2);
  EXPECT_EQ(info->waiting, 1);
  EXPECT_EQ(info->set_aside, 0);
  EXPECT_GT(info->bytes, 0);
  EXPECT_GT(info->free_bytes, 0);
  EXPECT_GT(info->format, 0);
  EXPECT_FALSE(info->kind.empty());
}

TEST_P(ListSuite, InfoCountsWhatCommitsChangedAndWhatAnOpeningFinds) {
  const auto counted = [&] {
    const StoreInfo info = *store().Info();
    return std::vector<int64_t>{info.queued, info.running, info.waiting};
  };
  for (int number = 1; number <= 4; ++number) Create(number);
  Move(1, TestProjection(2));
  Move(2, TestProjection(2, v1::RUN_STATE_WAITING));
  Move(3, StoppedProjection(2));
  EXPECT_THAT(counted(), ElementsAre(1, 1, 1));
  Reopen();
  EXPECT_THAT(counted(), ElementsAre(1, 1, 1));
  EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(4), store().epoch(), 7)), AppendResult::kLost);
  EXPECT_TRUE(DeleteNow(store(), TestRunId(3)).ok());
  EXPECT_THAT(counted(), ElementsAre(1, 1, 1)) << "neither was counted";
  AppendNow(store(), TestAppend(TestRunId(2), store().epoch(), 2, 1, TestProjection(3)));
  AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 2, 1, StoppedProjection(3)));
  EXPECT_THAT(counted(), ElementsAre(1, 1, 0));
  RunProjection resumed = StoppedProjection(4);
  resumed.state = v1::RUN_STATE_QUEUED;
  resumed.stop_time.reset();
  AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 3, 1, resumed));
  EXPECT_THAT(counted(), ElementsAre(2, 1, 0));
}

TEST_P(ListSuite, AStoreWithRoomIsWritable) { EXPECT_TRUE(store().writable()); }

INSTANTIATE_TEST_SUITE_P(Stores, ListSuite, testing::ValuesIn(StoreKinds()), NameOfKind);

}  // namespace
}  // namespace agentruntime
