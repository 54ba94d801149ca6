// Disks that really are small and full: what the log takes of them, and what gives it back.
//
// Each disk is a small tmpfs in a mount namespace of this process, so that neither root nor a free loop device is needed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/sqlite/disk.h"
#include "storage/sqlite/inspector.h"
#include "storage/sqlite/stores.h"
#include "storage/sqlite/writer.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/counter.h"
#include "tests/support/mount_namespace.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kRecoveryMax = absl::Seconds(5);

const ::testing::Environment* const kNamespace = ::testing::AddGlobalTestEnvironment(new testing::MountNamespace);

class SqliteSmallDiskTest : public ::testing::Test {
 protected:
  SqliteSmallDiskTest() {
    std::filesystem::create_directory(disk_);
    EXPECT_EQ(mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=12m"), 0) << strerror(errno);
  }
  ~SqliteSmallDiskTest() override {
    stores_ = {};
    umount2(disk_.c_str(), MNT_DETACH);
  }

  Store& store() { return *stores_.store; }
  void Open() {
    auto stores = OpenStores({.path = path_});
    ASSERT_TRUE(stores.ok()) << stores.status();
    stores_ = *std::move(stores);
    store().SetWritableListener([this](bool writable) {
      if (!writable) stalls_.Add();
    });
  }
  void Close() { stores_ = {}; }

  // A foreign file that leaves `left` bytes, to a page.
  void Fill(int64_t left) const {
    const int file = open(ballast_.c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_GE(file, 0);
    ASSERT_EQ(posix_fallocate(file, 0, SpaceOf(path_).free - left), 0);
    close(file);
    ASSERT_LE(SpaceOf(path_).free, left);
  }
  void Free() const { ASSERT_TRUE(std::filesystem::remove(ballast_)); }
  int64_t LogBytes() const { return static_cast<int64_t>(std::filesystem::file_size(path_ + "-wal")); }

  // Writes as a server does that is then killed: the log stays as it is.
  void WriteAndDie(const std::vector<std::string>& statements) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    ASSERT_EQ(sqlite3_exec(database, "PRAGMA wal_autocheckpoint=0", nullptr, nullptr, nullptr), SQLITE_OK);
    for (const std::string& statement : statements) last_code_ = sqlite3_exec(database, statement.c_str(), nullptr, nullptr, nullptr);
    sqlite3_close(database);
  }
  static std::string InsertBytes(int64_t bytes) {
    return absl::StrCat("INSERT INTO deleted_runs VALUES (randomblob(16), '', '', zeroblob(", bytes, "), 9000000000000000, NULL)");
  }

  TempDir folder_;
  const std::string disk_ = folder_.File("data");
  const std::string path_ = disk_ + "/agentd.db";
  const std::string ballast_ = disk_ + "/ballast";
  testing::Counter stalls_;
  int last_code_ = SQLITE_OK;
  Stores stores_;
};

TEST_F(SqliteSmallDiskTest, ADiskThatCannotBeWrittenIsNamedWithTheRemedy) {
  Open();
  Close();
  ASSERT_EQ(mount(nullptr, disk_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0) << strerror(errno);
  const auto says = AllOf(HasSubstr(absl::StrCat("its folder ", disk_, " cannot be written (Read-only file system)")), HasSubstr("to a folder that is"));
  EXPECT_THAT(std::string(Inspector::Open(path_).status().message()), says);
  EXPECT_THAT(std::string(OpenStores({.path = path_}).status().message()), says);
}

TEST_F(SqliteSmallDiskTest, TheLogTakesASmallPartOfIt) {
  constexpr int kRuns = 5000;
  Open();
  int64_t log_bytes = 0;
  for (int number = 1; number <= kRuns; ++number) {
    const RunId run = TestRunId(number);
    ASSERT_EQ(CreateNow(store(), TestRun(run)).kind, CreateOutcome::Kind::kCreated);
    ASSERT_EQ(AppendNow(store(), TestAppend(run, store().epoch(), 1, 2, StoppedProjection(3))), AppendResult::kDurable);
    log_bytes = std::max(log_bytes, LogBytes());
    ASSERT_EQ(stalls_.value(), 0) << number << " runs, log " << LogBytes() << ", database " << std::filesystem::file_size(path_);
  }
  EXPECT_LE(log_bytes, 2 * kCheckpointBytesMin);
  Close();
  Open();
  EXPECT_EQ(ReadAll(store(), TestRunId(kRuns))->size(), 3u);
}

TEST_F(SqliteSmallDiskTest, ItGoesOnWhenAForeignFileGoes) {
  constexpr Sequence kEvents = 3000;
  Open();
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  // The log grows into what is left, and the database after it.
  Fill(700 << 10);
  Awaited<bool> done;
  std::atomic<Sequence> durable = 1;
  for (Sequence last = 1; last < kEvents; ++last) {
    AppendRequest request = TestAppend(run, store().epoch(), last);
    request.events = {TestEvent(last + 1, store().epoch(), 1000)};
    store().Append(std::move(request), [&, last](AppendResult result) {
      EXPECT_EQ(result, AppendResult::kDurable);
      durable = last + 1;
      if (last + 1 == kEvents) done.Set(true);
    });
  }
  ASSERT_TRUE(stalls_.Await(1));
  ASSERT_LT(durable, kEvents);
  EXPECT_EQ(ReadAll(store(), run).status(), absl::OkStatus());
  const absl::Time freed = absl::Now();
  Free();
  done.Wait();
  EXPECT_LT(absl::Now() - freed, kRecoveryMax);
  EXPECT_EQ(ReadAll(store(), run)->size(), static_cast<size_t>(kEvents));
}

// It may stay full for hours, and who waits for room holds a thread that everybody else needs.
TEST_F(SqliteSmallDiskTest, NobodyBlocksForAFullDisk) {
  Open();
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  Fill(0);
  constexpr int kEventBytes = 900'000;
  Sequence last = 1;
  const auto append = [&] {
    AppendRequest request = TestAppend(run, store().epoch(), last);
    request.events = {TestEvent(++last, store().epoch(), kEventBytes)};
    store().Append(std::move(request), [](AppendResult) {});
  };
  append();
  ASSERT_TRUE(stalls_.Await(1));
  while (last * int64_t{kEventBytes} < kQueueBytesMax + 10 * int64_t{kEventBytes}) append();
  EXPECT_EQ(ReadAll(store(), run)->size(), 1u);
}

TEST_F(SqliteSmallDiskTest, TheLogLeavesSpaceForItsOwnCopy) {
  Open();
  CreateNow(store(), TestRun(TestRunId(1)));
  // Less than the writer lets the log grow between two looks at a large disk.
  Fill(kLookBytes - (32 << 10));
  for (Sequence last = 1; last <= 100; ++last) {
    AppendRequest request = TestAppend(TestRunId(1), store().epoch(), last);
    request.events = {TestEvent(last + 1, store().epoch(), 10)};
    ASSERT_EQ(AppendNow(store(), std::move(request)), AppendResult::kDurable);
  }
  EXPECT_EQ(stalls_.value(), 0);
}

TEST_F(SqliteSmallDiskTest, AStartCopiesTheLogBeforeItWrites) {
  Open();
  CreateNow(store(), TestRun(TestRunId(1)));
  Close();
  WriteAndDie(std::vector<std::string>(500, "UPDATE server SET epoch = epoch + 1"));
  ASSERT_GT(LogBytes(), 1 << 20);
  Fill(0);
  Open();
  EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 1)), AppendResult::kDurable);
  EXPECT_EQ(stalls_.value(), 0);
}

TEST_F(SqliteSmallDiskTest, AStartGivesBackWhatAFailedTransactionLeft) {
  Open();
  CreateNow(store(), TestRun(TestRunId(1)));
  Close();
  Fill(2 << 20);
  WriteAndDie({InsertBytes(500'000), InsertBytes(4'000'000)});
  ASSERT_EQ(last_code_, SQLITE_FULL);
  ASSERT_LT(SpaceOf(path_).free, 500'000);
  Open();
  EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 1)), AppendResult::kDurable);
  EXPECT_EQ(stalls_.value(), 0);
}

TEST_F(SqliteSmallDiskTest, AStartThatCannotCopyTheLogSaysWhatItNeeds) {
  Open();
  CreateNow(store(), TestRun(TestRunId(1)));
  Close();
  WriteAndDie({InsertBytes(3'000'000)});
  ASSERT_EQ(last_code_, SQLITE_OK);
  Fill(0);
  const absl::Status status = OpenStores({.path = path_}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(path_), HasSubstr("the disk is full"), HasSubstr("cannot be written"),
                                                   HasSubstr(absl::StrCat(LogBytes() + (640 << 10), " bytes")), Not(HasSubstr("cannot be read"))));
  Free();
  Open();
  EXPECT_EQ(ReadAll(store(), TestRunId(1))->size(), 1u);
}

}  // namespace
}  // namespace agentruntime::sqlite
