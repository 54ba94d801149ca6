// A file of an older server becomes one of this server's format, with everything that it held.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/sqlite/schema.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/old_store.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

using ::testing::HasSubstr;
using testing::kOldFormats;
using testing::kOldStoreBodyBytes;
using testing::kOldStoreEvents;
using testing::kOldStoreRuns;
using testing::MakeOldStore;

class SqliteMigrationTest : public ::testing::Test {
 protected:
  void Open() {
    auto stores = OpenStores({.path = path_});
    ASSERT_TRUE(stores.ok()) << stores.status();
    stores_ = *std::move(stores);
  }
  Store& store() { return *stores_.store; }

  // Each row of a query on the file while nobody serves it, its columns in one text.
  static std::vector<std::string> Rows(const std::string& path, const std::string& sql) {
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
    std::vector<std::string> rows;
    const auto collect = [](void* into, int count, char** values, char**) {
      std::string row;
      for (int i = 0; i < count; ++i) absl::StrAppend(&row, i > 0 ? "|" : "", values[i] != nullptr ? values[i] : "NULL");
      static_cast<std::vector<std::string>*>(into)->push_back(std::move(row));
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), collect, &rows, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
    return rows;
  }
  static std::vector<std::string> Schema(const std::string& path) { return Rows(path, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"); }

  std::vector<RunId> Runs() {
    std::vector<RunId> runs;
    const auto page = store().ListRuns({.oldest_first = true});
    for (const RunRecord& run : page->runs) runs.push_back(run.id);
    return runs;
  }
  // Whole, as it was written by a server of format 1 or 2.
  void ExpectWhole(const RunId& run) {
    const auto record = store().GetRun(run);
    ASSERT_TRUE(record.ok()) << record.status();
    RunProjection projection = StoppedProjection(kOldStoreEvents);
    projection.usage.clear_cost_micros();  // what such a server did not know
    projection.priority = 0;
    projection.not_before.reset();
    EXPECT_EQ(ToText(record->projection), ToText(projection));
    const auto events = ReadAll(store(), run);
    ASSERT_TRUE(events.ok()) << events.status();
    std::vector<std::string> bytes;
    for (const EventPtr& event : *events) bytes.push_back(event->SerializeAsString());
    std::vector<std::string> expected = {TestRun(run).created->SerializeAsString()};
    for (int i = 2; i <= kOldStoreEvents; ++i) expected.push_back(TestEvent(i, 1, kOldStoreBodyBytes)->SerializeAsString());
    EXPECT_EQ(bytes, expected);
  }

  TempDir folder_;
  const std::string path_ = folder_.File("agentd.db");
  Stores stores_;
};

static_assert(kOldFormats == kFormat - 1, "tests/support has a file of each older format");

TEST_F(SqliteMigrationTest, EverythingIsKept) {
  for (const int format : {1, 2}) {
    SCOPED_TRACE(format);
    std::filesystem::remove(path_);
    MakeOldStore(path_, format);
    Open();
    const std::vector<RunId> runs = Runs();
    ASSERT_EQ(runs.size(), size_t{kOldStoreRuns});
    for (const RunId& run : runs) ExpectWhole(run);
    EXPECT_EQ(store().epoch(), 2);
    EXPECT_EQ(store().Info()->format, kFormat);
    // It goes on as any other.
    EXPECT_EQ(AppendNow(store(), TestAppend(runs[0], store().epoch(), kOldStoreEvents)), AppendResult::kDurable);
    EXPECT_EQ(ReadAll(store(), runs[0])->size(), size_t{kOldStoreEvents + 1});
    EXPECT_TRUE(DeleteNow(store(), runs[1]).ok());
    ExpectWhole(runs[2]);
    stores_ = {};
    EXPECT_EQ(Rows(path_, "PRAGMA user_version"), std::vector<std::string>{absl::StrCat(kFormat)});
    EXPECT_EQ(Rows(path_, "SELECT run, count(*) FROM events GROUP BY run"), (std::vector<std::string>{"1|10", "3|9"}));
  }
}

TEST_F(SqliteMigrationTest, ForksConversationsAndArtifactsAreKept) {
  for (const int format : {3, 4, 5}) {
    SCOPED_TRACE(format);
    std::filesystem::remove(path_);
    MakeOldStore(path_, format);
    Open();
    const auto journal = [&](int run) {
      std::vector<std::string> bytes;
      const auto events = ReadAll(store(), TestRunId(run));
      EXPECT_TRUE(events.ok()) << events.status();
      for (const EventPtr& event : *events) bytes.push_back(event->SerializeAsString());
      return bytes;
    };
    std::vector<std::string> expected = {TestRun(TestRunId(1)).created->SerializeAsString()};
    for (int i = 2; i <= kOldStoreEvents; ++i) expected.push_back(TestEvent(i, 1, kOldStoreBodyBytes)->SerializeAsString());
    for (const int run : {1, 2, 3, 7}) EXPECT_EQ(journal(run), expected) << run;
    std::vector<std::string> fork = expected;
    fork[5] = TestFork(TestRunId(4), TestRunId(1), 5, 1).created->SerializeAsString();
    EXPECT_EQ(journal(4), fork);
    fork[7] = TestFork(TestRunId(5), TestRunId(4), 7, 1).created->SerializeAsString();
    EXPECT_EQ(journal(5), fork);
    for (int run = 1; run <= 7; ++run) {
      const auto record = store().GetRun(TestRunId(run));
      ASSERT_TRUE(record.ok()) << record.status();
      EXPECT_EQ(ToText(record->projection), ToText(run == 7 ? TestProjection(kOldStoreEvents) : StoppedProjection(kOldStoreEvents))) << run;
    }
    EXPECT_EQ(*store().Conversation("", "talk", 10), std::vector<RunId>{TestRunId(6)});
    EXPECT_EQ(store().ReadArtifact(TestRunId(6), 1, 0, 2000)->data, *TestArtifact(1, 1000).content);
    EXPECT_EQ(store().UnfinishedRuns(std::nullopt, 10)->at(0).id, TestRunId(7));
    // They are still forks: their base stays, and goes on.
    EXPECT_EQ(DeleteNow(store(), TestRunId(1)).code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(DeleteNow(store(), TestRunId(4)).code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(5), store().epoch(), kOldStoreEvents)), AppendResult::kDurable);
    EXPECT_EQ(journal(5).size(), size_t{kOldStoreEvents + 1});
    EXPECT_EQ(CreateNow(store(), TestFork(TestRunId(8), TestRunId(5), 8, store().epoch())).kind, CreateOutcome::Kind::kCreated);
    EXPECT_EQ(journal(8).size(), 9u);
    EXPECT_EQ(store().Info()->set_aside, 0);
    stores_ = {};
  }
}

TEST_F(SqliteMigrationTest, RequestsOfDeletedRunsAreStillAnswered) {
  MakeOldStore(path_, 5);
  Open();
  const auto outcome = store().FindRequest("", "gone", "hash");
  ASSERT_TRUE(outcome.ok() && *outcome) << outcome.status();
  EXPECT_EQ((*outcome)->kind, CreateOutcome::Kind::kDeleted);
  EXPECT_EQ((*outcome)->run, TestRunId(8));
}

TEST_F(SqliteMigrationTest, TheTablesAreThoseOfANewFile) {
  ASSERT_TRUE(OpenStores({.path = folder_.File("new.db")}).ok());
  for (int format = 1; format <= kOldFormats; ++format) {
    SCOPED_TRACE(format);
    std::filesystem::remove(path_);
    MakeOldStore(path_, format);
    Open();
    stores_ = {};
    EXPECT_EQ(Schema(path_), Schema(folder_.File("new.db")));
  }
}

TEST_F(SqliteMigrationTest, AStoreIsGivenItsIdOnce) {
  for (int format = 1; format <= kOldFormats; ++format) {
    SCOPED_TRACE(format);
    std::filesystem::remove(path_);
    MakeOldStore(path_, format);
    Open();
    const std::string id = store().id();
    EXPECT_THAT(id, ::testing::MatchesRegex("[0-9a-f]{32}"));
    EXPECT_EQ(store().restored_epoch(), 0);
    stores_ = {};
    Open();
    EXPECT_EQ(store().id(), id);
    stores_ = {};
  }
}

// Much more than fits into the memory that it takes: what SQLite holds at most is its caches.
TEST_F(SqliteMigrationTest, ALargeFileTakesLittleMemory) {
  constexpr int64_t kFileBytesMin = 128 << 20;
  constexpr int64_t kMemoryMax = 40 << 20;
  MakeOldStore(path_, 3,
               "INSERT INTO events SELECT NULL, (SELECT run FROM runs WHERE id = 7), value, 1, 1, 1, 1, randomblob(1000), 1 "
               "FROM (WITH RECURSIVE numbers(value) AS (SELECT 10 UNION ALL SELECT value + 1 FROM numbers LIMIT 120000) SELECT value FROM numbers);"
               "PRAGMA wal_checkpoint(TRUNCATE)");
  ASSERT_GE(static_cast<int64_t>(std::filesystem::file_size(path_)), kFileBytesMin);
  const int64_t before = sqlite3_memory_used();
  sqlite3_memory_highwater(1);
  Open();
  const int64_t held = sqlite3_memory_highwater(0) - before;
  std::printf("a file of %ju MiB was renewed within %jd MiB of SQLite's memory\n", static_cast<uintmax_t>(std::filesystem::file_size(path_)) >> 20,
              static_cast<intmax_t>(held) >> 20);
  EXPECT_LE(held, kMemoryMax);
  EXPECT_EQ(ReadAll(store(), TestRunId(6))->size(), size_t{kOldStoreEvents});
  stores_ = {};
  EXPECT_EQ(Rows(path_, "SELECT count(*) FROM events"), std::vector<std::string>{absl::StrCat(3 * 9 + 4 + 2 + 9 + 9 + 120'000)});
}

TEST_F(SqliteMigrationTest, ADamagedRowCostsItsRunAlone) {
  // Row 12 is event 3 of run 2.
  const std::vector<std::string> damages = {
      "UPDATE events SET body = x'00' WHERE id = 12",
      "UPDATE events SET sequence = 77 WHERE id = 12",
      "UPDATE events SET run = x'ff' WHERE id = 12",
      "DROP INDEX events_by_run; UPDATE events SET sequence = 4 WHERE id = 12",  // twice there
      // Bytes that the table would not take.
      ("ALTER TABLE events RENAME TO strict; CREATE TABLE events (id INTEGER PRIMARY KEY, run, sequence, time_us, active_us, step, epoch, body, crc);"
       "INSERT INTO events SELECT * FROM strict; DROP TABLE strict; UPDATE events SET body = 'text', step = 'text' WHERE id = 12"),
      ("ALTER TABLE events RENAME TO strict; CREATE TABLE events (id INTEGER PRIMARY KEY, run, sequence, time_us, active_us, step, epoch, body, crc);"
       "INSERT INTO events SELECT * FROM strict; DROP TABLE strict; UPDATE events SET body = NULL WHERE id = 12"),
  };
  for (const std::string& damage : damages) {
    SCOPED_TRACE(damage);
    std::filesystem::remove(path_);
    MakeOldStore(path_, 2, damage);
    Open();
    const std::vector<RunId> runs = Runs();
    ASSERT_EQ(runs.size(), size_t{kOldStoreRuns});
    ExpectWhole(runs[0]);
    ExpectWhole(runs[2]);
    const auto events = ReadAll(store(), runs[1]);
    EXPECT_EQ(events.status().code(), absl::StatusCode::kDataLoss) << events.status();
    EXPECT_THAT(std::string(events.status().message()), HasSubstr("event 3"));
    EXPECT_EQ(store().Info()->set_aside, 1);
    stores_ = {};
  }
}

TEST_F(SqliteMigrationTest, EventsWithoutAPlaceAreKeptAside) {
  MakeOldStore(path_, 2, "UPDATE events SET run = x'ff' WHERE id = 12");
  Open();
  stores_ = {};
  EXPECT_EQ(Rows(path_, "SELECT id, hex(run), sequence FROM stray_events"), std::vector<std::string>{"12|FF|3"});
}

}  // namespace
}  // namespace agentruntime::sqlite
