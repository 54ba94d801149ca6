// How far a list walks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/sqlite/run_query.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

constexpr int kHours = 48;

RunId IdOfHour(int hour) { return RunId::New(TestTime(hour * 3600.0), 7, 1); }

// A run an hour, made a second after its id.
class SqliteRunQueryTest : public testing::Test {
 protected:
  SqliteRunQueryTest() {
    auto stores = OpenStores({.path = path_});
    if (!stores.ok()) abort();
    stores_ = *std::move(stores);
    for (int hour = 0; hour < kHours; ++hour) {
      RunOptions options{.agent = hour == 3 ? "agents/rare/revisions/1" : "agents/docs/revisions/1", .labels = {{"k", "v"}}};
      options.created = hour * 3600.0 + 1;
      CreateNow(*stores_.store, TestRun(IdOfHour(hour), options));
    }
    auto database = Database::Open({.path = path_, .read_only = true});
    if (!database.ok()) abort();
    database_ = *std::move(database);
  }
  WalkedPage Walk(const RunQuery& query, int64_t rows_max) {
    auto walked = SelectPage(*database_, query, rows_max, set_aside_);
    EXPECT_TRUE(walked.ok()) << walked.status();
    return walked.ok() ? *std::move(walked) : WalkedPage();
  }
  // Runs SQL on the file, which nobody serves any more.
  void Edit(const std::string& sql) {
    stores_ = {};
    sqlite3* editor = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &editor), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(editor, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(editor);
    EXPECT_GT(sqlite3_changes(editor), 0);
    sqlite3_close(editor);
  }
  // How many runs a list by label has, page by page, each of a walk of several short statements.
  size_t FoundByLabel(bool oldest_first) {
    RunQuery query{.labels = {{"k", "v"}}, .oldest_first = oldest_first, .limit = 100};
    for (size_t found = 0;;) {
      const WalkedPage walked = Walk(query, 5);
      found += walked.page.runs.size();
      if (!walked.next) return found;
      query.after = walked.next;
    }
  }

  TempDir folder_;
  const std::string path_ = folder_.File("agentd.db");
  Stores stores_;
  std::unique_ptr<Database> database_;
  SetAside set_aside_;
};

TEST_F(SqliteRunQueryTest, TimesBoundTheWalk) {
  RunQuery query{.created_after = TestTime(10 * 3600.0), .created_before = TestTime(15 * 3600.0)};
  for (const bool oldest_first : {false, true}) {
    for (const auto& states : {std::vector<v1::RunState>{}, {v1::RUN_STATE_QUEUED}}) {
      for (const auto& labels : {std::map<std::string, std::string>{}, {{"k", "v"}}}) {
        query.oldest_first = oldest_first;
        query.states = states;
        query.labels = labels;
        const WalkedPage walked = Walk(query, 1000);
        EXPECT_EQ(walked.page.runs.size(), 5u);
        EXPECT_EQ(walked.page.runs.front().id, IdOfHour(oldest_first ? 10 : 14));
        EXPECT_EQ(walked.rows, 6);  // the run of hour 15 is within the slack
        EXPECT_FALSE(walked.page.more);
      }
    }
  }
}

TEST_F(SqliteRunQueryTest, APageGoesOnWithinTheTimes) {
  RunQuery query{.created_after = TestTime(10 * 3600.0), .created_before = TestTime(15 * 3600.0), .after = IdOfHour(12)};
  EXPECT_EQ(Walk(query, 1000).page.runs.size(), 2u);
  query.oldest_first = true;
  EXPECT_EQ(Walk(query, 1000).page.runs.size(), 2u);
  query.after = IdOfHour(5);  // a time may be moved between pages; the narrower bound holds
  EXPECT_EQ(Walk(query, 1000).page.runs.size(), 5u);
}

TEST_F(SqliteRunQueryTest, AWalkEndsAfterItsRowsAndTellsWhere) {
  RunQuery query{.agent = "rare"};
  int walks = 1;
  WalkedPage walked = Walk(query, 10);
  while (walked.page.runs.empty() && walked.next) {
    EXPECT_EQ(walked.rows, 10);
    EXPECT_TRUE(walked.page.more);
    query.after = walked.next;
    walked = Walk(query, 10);
    ++walks;
  }
  EXPECT_EQ(walks, 5);
  ASSERT_EQ(walked.page.runs.size(), 1u);
  EXPECT_EQ(walked.page.runs[0].id, IdOfHour(3));
  EXPECT_FALSE(walked.page.more);
}

TEST_F(SqliteRunQueryTest, WhatWasFoundBeforeTheBoundIsAPage) {
  const WalkedPage walked = Walk({.limit = 50}, 10);
  EXPECT_EQ(walked.page.runs.size(), 10u);
  EXPECT_TRUE(walked.page.more);
  EXPECT_EQ(walked.next, IdOfHour(kHours - 10));
}

TEST_F(SqliteRunQueryTest, ASearchWalksOnUntilItHasFoundSomething) {
  const auto readers = Readers::Open({.path = path_, .read_only = true}, 1);
  ASSERT_TRUE(readers.ok()) << readers.status();
  const auto page = Search(**readers, {.agent = "rare"}, {.rows_max = 10, .fruitless_rows_max = 100}, set_aside_);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->runs.size(), 1u);
  EXPECT_EQ(page->runs[0].id, IdOfHour(3));
}

TEST_F(SqliteRunQueryTest, AFruitlessSearchSaysWhereToSearchOn) {
  const auto readers = Readers::Open({.path = path_, .read_only = true}, 1);
  ASSERT_TRUE(readers.ok()) << readers.status();
  const SearchBounds bounds{.rows_max = 10, .fruitless_rows_max = 30};
  const auto refused = Search(**readers, {.agent = "rare"}, bounds, set_aside_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  const absl::Time searched = IdOfHour(kHours - 30).time() + kIdTimeSlack;
  EXPECT_THAT(std::string(refused.status().message()), testing::HasSubstr(absl::FormatTime(absl::RFC3339_full, searched, absl::UTCTimeZone())));
  EXPECT_EQ(Search(**readers, {.agent = "rare", .created_before = searched}, bounds, set_aside_)->runs.size(), 1u);
}

// One bit of a row of run_labels: its run is not found by that label, and all others are.
TEST_F(SqliteRunQueryTest, ALabelWithoutItsRunEndsNoWalk) {
  Edit("UPDATE run_labels SET run = CAST(substr(run, 1, 15) || x'7f' AS BLOB) WHERE run IN (SELECT run FROM runs WHERE id IN (10, 20))");
  for (const bool oldest_first : {false, true}) EXPECT_EQ(FoundByLabel(oldest_first), static_cast<size_t>(kHours - 2)) << "oldest first " << oldest_first;
  EXPECT_EQ(set_aside_.count(), 2) << "they are told of";
}

// One bit in the first bytes of an id, which are a time, and it is of years later. The row stays in its place, here the last of a statement.
TEST_F(SqliteRunQueryTest, AWalkJumpsToNoRunThatIsNotThere) {
  stores_ = {};
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t row = bytes.find("kv" + std::string(IdOfHour(9).bytes()));
  ASSERT_NE(row, std::string::npos);
  file.clear();
  file.seekp(static_cast<std::streamoff>(row) + 2);
  file.put(static_cast<char>(bytes[row + 2] ^ 0x40));
  file.close();
  EXPECT_EQ(FoundByLabel(/*oldest_first=*/true), static_cast<size_t>(kHours - 1));
}

TEST_F(SqliteRunQueryTest, AWalkByLabelGoesByLabels) {
  Edit(absl::StrCat("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ", 2 * kReadRowsMax,
                    ") INSERT INTO run_labels SELECT '', 'k', 'v', CAST(zeroblob(12) || substr('0000' || i, -4) AS BLOB) FROM n"));
  const WalkedPage walked = Walk({.labels = {{"k", "v"}}, .oldest_first = true, .limit = 100}, 20'000);
  EXPECT_EQ(walked.page.runs.size(), static_cast<size_t>(kHours));
  EXPECT_EQ(walked.rows, 2 * kReadRowsMax + kHours);
}

}  // namespace
}  // namespace agentruntime::sqlite
