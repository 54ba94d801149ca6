// What is kept of deleted runs, damaged; and deletes that a damaged index would lead to another run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "proto/util/names.h"
#include "storage/sqlite/inspector.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = CreateOutcome::Kind;

std::string Job(int number) { return absl::StrCat("job-", number); }

class SqliteDeletedRunTest : public ::testing::Test {
 protected:
  // Stopped runs 1 to 6, each with a request.
  SqliteDeletedRunTest() {
    Open();
    for (int number = 1; number <= 6; ++number) {
      EXPECT_EQ(CreateNow(store(), TestRun(TestRunId(number), {.request_id = Job(number)})).kind, Kind::kCreated);
      EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(number), store().epoch(), 1, 4, StoppedProjection(5))), AppendResult::kDurable);
    }
  }
  Store& store() { return *stores_.store; }
  void Open() {
    auto stores = OpenStores({.path = path_});
    if (!stores.ok()) abort();
    stores_ = *std::move(stores);
  }
  void Delete(int number) { ASSERT_TRUE(DeleteNow(store(), TestRunId(number)).ok()); }
  // Changes one row while nobody serves the file.
  void Damage(const std::string& sql) {
    stores_ = {};
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    EXPECT_EQ(sqlite3_changes(database), 1) << sql;
    sqlite3_close(database);
    Open();
  }
  // Flips one bit of the last character of `text` in the leaf of the index that holds it, likewise; also in what a removed entry left there.
  void FlipInIndex(const std::string& text, int bit) {
    constexpr size_t kPage = 8192;
    constexpr char kIndexLeaf = 10;
    stores_ = {};
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    file.clear();
    int flipped = 0;
    for (size_t at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1)) {
      if (bytes[at - at % kPage] != kIndexLeaf) continue;
      file.seekp(static_cast<std::streamoff>(at + text.size() - 1));
      file.put(static_cast<char>(bytes[at + text.size() - 1] ^ (1 << bit)));
      ++flipped;
    }
    file.close();
    ASSERT_GT(flipped, 0) << text;
    Open();
  }
  // What a retry is answered, asked and as one that would make a run.
  Kind Retry(int number, const std::string& tenant = "") {
    const CreateOutcome outcome = CreateNow(store(), TestRun(TestRunId(1000 * ++retries_), {.request_id = Job(number), .tenant = tenant}));
    const auto found = store().FindRequest(tenant, Job(number), "hash");
    if (!found.ok() || !*found) {
      ADD_FAILURE() << found.status() << ": nothing is found of " << Job(number);
    } else if (outcome.kind != Kind::kCreated) {
      EXPECT_EQ((*found)->kind, outcome.kind);
      EXPECT_EQ((*found)->run, outcome.run);
    }
    return outcome.kind;
  }
  std::vector<std::string> DoctorFinds() {
    stores_ = {};
    const auto inspector = Inspector::Open(path_);
    std::vector<std::string> faults = inspector.ok() ? (*inspector)->FileFaults() : std::vector<std::string>{std::string(inspector.status().message())};
    return faults;
  }

  TempDir folder_;
  const std::string path_ = folder_.File("agentd.db");
  Stores stores_;
  int retries_ = 0;
};

TEST_F(SqliteDeletedRunTest, AnswersItsRequest) {
  Delete(5);
  EXPECT_EQ(Retry(5), Kind::kDeleted);
  EXPECT_EQ(Retry(4), Kind::kExists);
  EXPECT_THAT(DoctorFinds(), IsEmpty());
}

TEST_F(SqliteDeletedRunTest, NoChangedColumnAnswersARetry) {
  for (const char* change : {"run = CAST(substr(run, 1, 15) || 'x' AS BLOB)", "request_hash = x'01'", "deleted_us = deleted_us + 1", "crc = crc + 1"}) {
    SCOPED_TRACE(change);
    Delete(5);
    Damage(absl::StrCat("UPDATE deleted_runs SET ", change));
    EXPECT_EQ(Retry(5), Kind::kDamaged);
    EXPECT_THAT(DoctorFinds(), Contains(HasSubstr("what is kept of it since it was deleted")));
    Open();
    Damage("DELETE FROM deleted_runs");
    EXPECT_EQ(CreateNow(store(), TestRun(TestRunId(5), {.request_id = Job(5)})).kind, Kind::kCreated);
    EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(5), store().epoch(), 1, 4, StoppedProjection(5))), AppendResult::kDurable);
  }
  Delete(5);
  Damage("UPDATE deleted_runs SET request_id = 'job-7'");
  EXPECT_EQ(Retry(7), Kind::kDamaged);
  Damage("UPDATE deleted_runs SET request_id = 'job-5', tenant = 'other'");
  EXPECT_EQ(Retry(5, "other"), Kind::kDamaged);
}

TEST_F(SqliteDeletedRunTest, NorAnIndexThatLeadsToAnotherOnes) {
  Delete(5);
  Delete(6);
  FlipInIndex(Job(6), 0);  // 7
  EXPECT_EQ(Retry(7), Kind::kDamaged);
  EXPECT_EQ(Retry(5), Kind::kDeleted);
}

// What was damaged before the delete is not whole behind it.
TEST_F(SqliteDeletedRunTest, OfADamagedRunNothingIsKeptAsGood) {
  Damage("UPDATE runs SET request_id = 'job-7' WHERE id = 5");
  Delete(5);
  EXPECT_EQ(Retry(7), Kind::kDamaged);
  const std::vector<std::string> faults = DoctorFinds();
  EXPECT_THAT(faults, Contains(HasSubstr(RunName(TestRunId(5)))));
}

TEST_F(SqliteDeletedRunTest, AsManyAsThereAreTheDoctorNamesSome) {
  Delete(5);
  Damage("UPDATE deleted_runs SET crc = 0");
  stores_ = {};
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
  const char* more =
      "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO deleted_runs SELECT randomblob(16), '', '', x'', i, 0 FROM n";
  EXPECT_EQ(sqlite3_exec(database, more, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
  sqlite3_close(database);
  EXPECT_EQ(DoctorFinds().size(), size_t{kFileFaultsMax});
}

// The index has the right key, and the row of run 3 with it.
TEST_F(SqliteDeletedRunTest, ADeleteThatTheIndexLeadsToAnotherRunDeletesNothing) {
  FlipInIndex(absl::StrCat(TestRunId(2).bytes(), "\x02"), 0);
  EXPECT_FALSE(DeleteNow(store(), TestRunId(2)).ok());
  EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(2), store().epoch(), 5)), AppendResult::kLost) << "it would be written to another run";
  EXPECT_EQ(store().GetRun(TestRunId(2)).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(store().GetRun(TestRunId(3)).ok());
  EXPECT_EQ(ReadAll(store(), TestRunId(3))->size(), 5u);
}

}  // namespace
}  // namespace agentruntime::sqlite
