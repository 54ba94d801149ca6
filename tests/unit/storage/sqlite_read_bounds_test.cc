// No read keeps the log from being cut for longer than kReadRowsMax rows take, however much it is asked for and however little it finds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/sqlite/readers.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

constexpr int kMany = 2500;
static_assert(kReadRowsMax == 1000);

// Rows of each statement that this thread runs, on whatever connection: those of the longest one, from its beginning to its end.
thread_local std::map<void*, int> rows_of;
thread_local int longest = 0;

int Note(unsigned what, void*, void* statement, void*) {
  int& rows = rows_of[statement];
  rows = what == SQLITE_TRACE_ROW ? rows + 1 : 0;
  longest = std::max(longest, rows);
  return 0;
}

int Trace(sqlite3* handle, const char**, const void*) { return sqlite3_trace_v2(handle, SQLITE_TRACE_STMT | SQLITE_TRACE_ROW, &Note, nullptr); }

class SqliteReadBoundsTest : public ::testing::Test {
 protected:
  SqliteReadBoundsTest() {
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(&Trace));
    auto stores = OpenStores({.path = path_});
    if (!stores.ok()) abort();
    stores_ = *std::move(stores);
    Awaited<bool> last;
    for (int number = 1; number <= kMany; ++number) {
      store().Create(TestRun(TestRunId(number), {.labels = {{"k", "v"}}}), [&, number](CreateOutcome) {
        if (number == kMany) last.Set(true);
      });
    }
    last.Wait();
    longest = 0;
  }
  ~SqliteReadBoundsTest() override { sqlite3_reset_auto_extension(); }
  Store& store() { return *stores_.store; }

  TempDir folder_;
  const std::string path_ = folder_.File("agentd.db");
  Stores stores_;
};

TEST_F(SqliteReadBoundsTest, Events) {
  ASSERT_EQ(AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 1, kMany)), AppendResult::kDurable);
  const auto events = store().ReadEvents(TestRunId(1), 0, {.events_max = kMany, .bytes_max = int64_t{1} << 30});
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_EQ(events->size(), static_cast<size_t>(kReadRowsMax));
  EXPECT_EQ(longest, kReadRowsMax);
}

TEST_F(SqliteReadBoundsTest, Artifacts) {
  AppendRequest append = TestAppend(TestRunId(1), store().epoch(), 1);
  for (int32_t number = 1; number <= kMany; ++number) append.artifacts.push_back(TestArtifact(number, 1));
  ASSERT_EQ(AppendNow(store(), std::move(append)), AppendResult::kDurable);
  const auto artifacts = store().ListArtifacts(TestRunId(1));
  ASSERT_TRUE(artifacts.ok()) << artifacts.status();
  ASSERT_EQ(artifacts->size(), static_cast<size_t>(kMany));
  for (int32_t i = 0; i < kMany; ++i) EXPECT_EQ((*artifacts)[static_cast<size_t>(i)].number, i + 1);
  EXPECT_EQ(longest, kReadRowsMax);
}

TEST_F(SqliteReadBoundsTest, ListsOfRuns) {
  // Nothing matches, so that each looks at every run.
  const RunQuery all{.agent = "none"};
  RunQuery by_label = all, by_state = all;
  by_label.labels = {{"k", "v"}};
  by_state.states = {v1::RUN_STATE_QUEUED};
  for (const RunQuery& query : {all, by_label, by_state}) {
    longest = 0;
    const auto page = store().ListRuns(query);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_EQ(page->runs.size(), 0u);
    EXPECT_EQ(longest, kReadRowsMax);
  }
}

TEST_F(SqliteReadBoundsTest, UnfinishedRuns) {
  EXPECT_EQ(store().UnfinishedRuns(std::nullopt, 2 * kMany)->size(), static_cast<size_t>(kMany));
  EXPECT_EQ(longest, kReadRowsMax);
}

TEST_F(SqliteReadBoundsTest, DamagedAgents) {
  stores_ = {};
  sqlite3* editor = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &editor), SQLITE_OK);
  const std::string agents =
      absl::StrCat("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ", kMany, ") INSERT INTO agents SELECT 'a' || i, 1, 0 FROM n");
  ASSERT_EQ(sqlite3_exec(editor, agents.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(editor);
  sqlite3_close(editor);
  auto stores = OpenStores({.path = path_});
  ASSERT_TRUE(stores.ok()) << stores.status();
  longest = 0;
  EXPECT_EQ(stores->agents->List("", 10)->size(), 0u);
  EXPECT_EQ(longest, kReadRowsMax);
}

}  // namespace
}  // namespace agentruntime::sqlite
