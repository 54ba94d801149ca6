// Full, busy and broken disks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "storage/sqlite/stores.h"
#include "storage/sqlite/writer.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/await.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

class ManualClock final : public Clock {
 public:
  absl::Time Now() const override {
    MutexLock lock(mu_);
    return now_;
  }
  absl::Duration Monotonic() const override { return Now() - absl::UnixEpoch(); }
  void Move(absl::Duration by) {
    MutexLock lock(mu_);
    now_ += by;
  }

 private:
  mutable Mutex mu_;
  absl::Time now_ ABSL_GUARDED_BY(mu_) = TestTime(0);
};

class SqliteDiskTest : public ::testing::Test {
 protected:
  SqliteDiskTest() { Open(); }
  Store& store() { return *stores_.store; }
  void Open() {
    auto stores = OpenStores({.path = path_, .clock = &clock_, .vfs = disk_.name()});
    if (!stores.ok()) abort();
    stores_ = *std::move(stores);
  }
  void Close() { stores_ = {}; }

  TempDir folder_;
  const std::string path_ = folder_.File("agentd.db");
  FaultVfs disk_;
  ManualClock clock_;
  Stores stores_;
};

TEST_F(SqliteDiskTest, AFullDiskDelaysWritesAndLosesNothing) {
  Awaited<bool> unwritable, writable_again;
  store().SetWritableListener([&](bool writable) { (writable ? writable_again : unwritable).Set(true); });
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  disk_.full = true;
  std::vector<AppendResult> results;  // of the store's thread until `last`
  Awaited<bool> last;
  for (Sequence after = 1; after <= 5; ++after) {
    store().Append(TestAppend(run, store().epoch(), after), [&, after](AppendResult result) {
      results.push_back(result);
      if (after == 5) last.Set(true);
    });
  }
  unwritable.Wait();
  EXPECT_FALSE(store().writable());
  // Reads go on and show what is durable.
  EXPECT_EQ(ReadAll(store(), run)->size(), 1u);
  EXPECT_EQ(store().ListRuns({})->runs.size(), 1u);
  // Agents are not kept waiting.
  v1::Agent agent;
  agent.set_name("agents/docs");
  EXPECT_EQ(ReasonOf(stores_.agents->Create(agent, TestTime(1)).status()), v1::ERROR_REASON_STORE_UNAVAILABLE);
  ASSERT_TRUE(disk_.full_writes.Await(2)) << "it has not tried again";
  disk_.full = false;
  writable_again.Wait();
  last.Wait();
  EXPECT_TRUE(store().writable());
  EXPECT_EQ(results, std::vector<AppendResult>(5, AppendResult::kDurable));
  EXPECT_EQ(ReadAll(store(), run)->size(), 6u);
  EXPECT_TRUE(stores_.agents->Create(agent, TestTime(1)).ok());
}

TEST_F(SqliteDiskTest, WhoListensLateHearsOfAFullDisk) {
  CreateNow(store(), TestRun(TestRunId(1)));
  disk_.full = true;
  Awaited<bool> done;
  store().Append(TestAppend(TestRunId(1), store().epoch(), 1), [&](AppendResult) { done.Set(true); });
  testing::AwaitThat("the store has met the full disk", [&] { return !store().writable(); });
  std::vector<bool> told;  // of this thread until the disk is right again
  Awaited<bool> writable_again;
  store().SetWritableListener([&](bool writable) {
    told.push_back(writable);
    if (writable) writable_again.Set(true);
  });
  EXPECT_EQ(told, std::vector<bool>{false});
  disk_.full = false;
  writable_again.Wait();
  done.Wait();
  EXPECT_EQ(told, (std::vector<bool>{false, true}));
}

// A file of 4 KiB pages, as older servers made them: it stays so.
TEST_F(SqliteDiskTest, AFullDiskThatCannotIndexTheLogBeginsItAnew) {
  Close();
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path_ + suffix);
  sqlite3* maker = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &maker), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(maker, "PRAGMA page_size=4096; VACUUM", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(maker);
  Open();
  std::atomic<int> stalls = 0;
  store().SetWritableListener([&](bool) { ++stalls; });
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  disk_.full_index = true;
  // The first piece of the index holds 4,062 pages; the log is copied when it has 4,096.
  for (Sequence last = 1; last <= 20; ++last) {
    AppendRequest request = TestAppend(run, store().epoch(), last);
    request.events = {TestEvent(last + 1, store().epoch(), 1'000'000)};
    ASSERT_EQ(AppendNow(store(), std::move(request)), AppendResult::kDurable);
  }
  EXPECT_EQ(stalls, 0);
  EXPECT_EQ(ReadAll(store(), run)->size(), 21u);
}

TEST_F(SqliteDiskTest, AFullDiskThatCannotIndexALogInUseOnlyDelays) {
  Awaited<bool> unwritable;
  store().SetWritableListener([&](bool writable) {
    if (!writable) unwritable.Set(true);
  });
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  // Somebody reads, so the log cannot begin anew.
  sqlite3* prompt = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &prompt), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(prompt, "BEGIN; SELECT count(*) FROM runs", nullptr, nullptr, nullptr), SQLITE_OK);
  disk_.full_index = true;
  // The first piece of the index holds 4,062 pages of 8 KiB.
  Awaited<bool> done;
  for (Sequence last = 1; last <= 40; ++last) {
    AppendRequest request = TestAppend(run, store().epoch(), last);
    request.events = {TestEvent(last + 1, store().epoch(), 1'000'000)};
    store().Append(std::move(request), [&, last](AppendResult result) {
      if (result == AppendResult::kDurable && last == 40) done.Set(true);
    });
  }
  unwritable.Wait();
  EXPECT_LT(ReadAll(store(), run)->size(), 41u);
  disk_.full_index = false;
  done.Wait();
  sqlite3_close(prompt);
  EXPECT_EQ(ReadAll(store(), run)->size(), 41u);
  Close();
  Open();
  EXPECT_EQ(ReadAll(store(), run)->size(), 41u);
}

TEST_F(SqliteDiskTest, AgentWritesUnderWayAreReleasedWhenTheDiskIsFull) {
  disk_.full = true;
  v1::Agent agent;
  agent.set_name("agents/docs");
  EXPECT_EQ(stores_.agents->Create(agent, TestTime(1)).status().code(), absl::StatusCode::kUnavailable);
  disk_.full = false;
  CreateNow(store(), TestRun(TestRunId(1)));         // queued behind it
  EXPECT_TRUE(stores_.agents->Get("docs", 0).ok());  // unknown became done
}

TEST_F(SqliteDiskTest, ClosingOnAFullDiskDropsWhatWasNotAcknowledged) {
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  Awaited<bool> unwritable;
  store().SetWritableListener([&](bool) { unwritable.Set(true); });
  disk_.full = true;
  std::atomic<bool> told = false;
  store().Append(TestAppend(run, store().epoch(), 1), [&](AppendResult) { told = true; });
  unwritable.Wait();
  Close();
  EXPECT_FALSE(told);
  disk_.full = false;
  Open();
  EXPECT_EQ(ReadAll(store(), run)->size(), 1u);
  EXPECT_EQ(AppendNow(store(), TestAppend(run, store().epoch(), 1)), AppendResult::kDurable);
}

TEST_F(SqliteDiskTest, ASqlPromptThatHoldsTheLockOnlyDelays) {
  Awaited<bool> unwritable;
  store().SetWritableListener([&](bool writable) {
    if (!writable) unwritable.Set(true);
  });
  sqlite3* prompt = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &prompt), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(prompt, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  Awaited<CreateOutcome> created;
  store().Create(TestRun(TestRunId(1)), [&](CreateOutcome outcome) { created.Set(outcome); });
  unwritable.Wait();
  ASSERT_EQ(sqlite3_exec(prompt, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(created.Wait().kind, CreateOutcome::Kind::kCreated);
  sqlite3_close(prompt);
}

TEST_F(SqliteDiskTest, TheLogIsCopiedAndBegunAnew) {
  constexpr int kEvents = 100;
  constexpr int kEventBytes = 1'000'000;
  static_assert(int64_t{kEvents} * kEventBytes > kLogBytesMax + kLogBytesMax / 4);
  const RunId run = TestRunId(1);
  CreateNow(store(), TestRun(run));
  for (Sequence last = 1; last <= kEvents; ++last) {
    AppendRequest request = TestAppend(run, store().epoch(), last);
    request.events = {TestEvent(last + 1, store().epoch(), kEventBytes)};
    ASSERT_EQ(AppendNow(store(), std::move(request)), AppendResult::kDurable);
  }
  EXPECT_LT(std::filesystem::file_size(path_ + "-wal"), static_cast<uint64_t>(2 * kCheckpointBytes));
  EXPECT_EQ(ReadAll(store(), run)->size(), static_cast<size_t>(kEvents + 1));
}

TEST_F(SqliteDiskTest, LargeRunsAreNotDeletedInOneTransaction) {
  const int kRuns = 3;
  for (int number = 1; number <= kRuns; ++number) {
    CreateNow(store(), TestRun(TestRunId(number)));
    AppendRequest request = TestAppend(TestRunId(number), store().epoch(), 1, 5, StoppedProjection(6));
    for (EventPtr& event : request.events) event = TestEvent(event->sequence(), store().epoch(), 1'000'000);
    ASSERT_EQ(AppendNow(store(), std::move(request)), AppendResult::kDurable);
  }
  // While the disk is full everything gathers behind the first item.
  disk_.full = true;
  Awaited<bool> first, last;
  store().Create(TestRun(TestRunId(9)), [&](CreateOutcome) { first.Set(true); });
  ASSERT_TRUE(disk_.full_writes.Await(1));
  std::vector<absl::Status> deleted;  // of the store's thread until `last`
  for (int number = 1; number <= kRuns; ++number) store().Delete(TestRunId(number), [&](absl::Status status) { deleted.push_back(std::move(status)); });
  store().Append(TestAppend(TestRunId(1), store().epoch(), 6), [&](AppendResult result) { last.Set(result == AppendResult::kLost); });
  const int syncs_before = disk_.log_syncs;
  disk_.full = false;
  first.Wait();
  EXPECT_TRUE(last.Wait());  // behind the delete of its run, in another transaction
  EXPECT_EQ(deleted, std::vector<absl::Status>(kRuns));
  EXPECT_GE(disk_.log_syncs - syncs_before, 1 + kRuns);
  EXPECT_EQ(store().ListRuns({})->runs.size(), 1u);
}

TEST_F(SqliteDiskTest, ARequestIdIsForgottenADayAfterItsRunWasDeleted) {
  const auto create_and_delete = [&](int number, const std::string& request_id) {
    CreateNow(store(), TestRun(TestRunId(number), {.request_id = request_id}));
    AppendNow(store(), TestAppend(TestRunId(number), store().epoch(), 1, 1, StoppedProjection(2)));
    ASSERT_TRUE(DeleteNow(store(), TestRunId(number)).ok());
  };
  create_and_delete(1, "old");
  clock_.Move(absl::Hours(23));
  create_and_delete(2, "new");
  EXPECT_EQ(CreateNow(store(), TestRun(TestRunId(3), {.request_id = "old"})).kind, CreateOutcome::Kind::kDeleted);
  clock_.Move(absl::Hours(2));
  create_and_delete(4, "newest");
  EXPECT_EQ(CreateNow(store(), TestRun(TestRunId(5), {.request_id = "old"})).kind, CreateOutcome::Kind::kCreated);
  EXPECT_EQ(CreateNow(store(), TestRun(TestRunId(6), {.request_id = "new"})).kind, CreateOutcome::Kind::kDeleted);
}

// Acknowledges three events, then breaks the disk and writes on; returns only if the process survives that.
void WriteOnABrokenDisk(const std::string& path, std::atomic<bool> FaultVfs::* fault) {
  FaultVfs disk;
  auto stores = OpenStores({.path = path, .vfs = disk.name()});
  if (!stores.ok()) return;
  const RunId run = TestRunId(1);
  CreateNow(*stores->store, TestRun(run));
  AppendNow(*stores->store, TestAppend(run, stores->store->epoch(), 1, 2));
  disk.*fault = true;
  Sequence last = 3;
  // Enough for a checkpoint.
  for (int i = 0; i < 40; ++i) {
    AppendRequest request = TestAppend(run, stores->store->epoch(), last);
    request.events = {TestEvent(last + 1, stores->store->epoch(), 1'000'000)};
    AppendNow(*stores->store, std::move(request));
    ++last;
  }
}

class SqliteFailStopTest : public ::testing::Test {
 protected:
  SqliteFailStopTest() {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    if (getenv(kFolder) == nullptr) setenv(kFolder, folder_.emplace().path().c_str(), 1);
  }
  ~SqliteFailStopTest() override {
    if (folder_) unsetenv(kFolder);
  }

  void ExpectCleanStart(Sequence last_min) {
    auto stores = OpenStores({.path = path()});
    ASSERT_TRUE(stores.ok()) << stores.status();
    const auto events = ReadAll(*stores->store, TestRunId(1));
    ASSERT_TRUE(events.ok()) << events.status();
    EXPECT_GE(static_cast<Sequence>(events->size()), last_min);
    EXPECT_EQ(AppendNow(*stores->store, TestAppend(TestRunId(1), stores->store->epoch(), static_cast<Sequence>(events->size()))), AppendResult::kDurable);
  }

  // The same in the test's process and in its child, which runs the test again up to the death.
  std::string path() const { return std::string(getenv(kFolder)) + "/agentd.db"; }

 private:
  static constexpr char kFolder[] = "SQLITE_FAIL_STOP_FOLDER";
  std::optional<TempDir> folder_;  // of the parent
};

TEST_F(SqliteFailStopTest, AFailedSyncOfTheLogEndsTheProcess) {
  EXPECT_EXIT(WriteOnABrokenDisk(path(), &FaultVfs::fail_log_sync), ::testing::ExitedWithCode(74), "the store cannot go on.*a commit failed");
  ExpectCleanStart(3);
}

TEST_F(SqliteFailStopTest, AFailedWriteEndsTheProcess) {
  EXPECT_EXIT(WriteOnABrokenDisk(path(), &FaultVfs::fail_write), ::testing::ExitedWithCode(74), "the store cannot go on.*a commit failed");
  ExpectCleanStart(3);
}

TEST_F(SqliteFailStopTest, AFailedSyncOfTheDatabaseEndsTheProcess) {
  EXPECT_EXIT(WriteOnABrokenDisk(path(), &FaultVfs::fail_main_sync), ::testing::ExitedWithCode(74), "the store cannot go on.*a checkpoint failed");
  ExpectCleanStart(10);
}

// Fills the disk while the log has an end that no commit covers, and cannot be cut; returns only if the process survives that.
void CutTheLogOfABrokenDisk(const std::string& path) {
  FaultVfs disk;
  Awaited<bool> unwritable;
  auto stores = OpenStores({.path = path, .vfs = disk.name()});
  if (!stores.ok()) return;
  stores->store->SetWritableListener([&](bool writable) {
    if (!writable) unwritable.Set(true);
  });
  const RunId run = TestRunId(1);
  CreateNow(*stores->store, TestRun(run));
  AppendRequest large = TestAppend(run, stores->store->epoch(), 1);
  large.events = {TestEvent(2, stores->store->epoch(), 500'000)};
  AppendNow(*stores->store, std::move(large));
  // Once it is copied the next commit begins it anew.
  sqlite3* prompt = nullptr;
  sqlite3_open(path.c_str(), &prompt);
  sqlite3_exec(prompt, "PRAGMA wal_checkpoint(PASSIVE)", nullptr, nullptr, nullptr);
  sqlite3_close(prompt);
  AppendNow(*stores->store, TestAppend(run, stores->store->epoch(), 2));
  disk.fail_log_cut = true;
  disk.full = true;
  stores->store->Append(TestAppend(run, stores->store->epoch(), 3), [](AppendResult) {});
  unwritable.Wait();
}

TEST_F(SqliteFailStopTest, AFailedCutOfTheLogEndsTheProcess) {
  EXPECT_EXIT(CutTheLogOfABrokenDisk(path()), ::testing::ExitedWithCode(74), "the store cannot go on.*the log cannot be cut.*SQLite code 1546");
  ExpectCleanStart(3);
}

// The kernel takes a page that it could not write for written, so the next sync of it succeeds: each one that fails is the end of opening.
TEST(SqliteOpenTest, AnySyncThatFailsOnceIsTheEndOfOpening) {
  int refused = 0;
  for (int failing = 1;; ++failing) {
    const TempDir folder;
    FaultVfs disk;
    int syncs = 0;
    disk.sync_fails = [&](bool) { return ++syncs == failing; };
    const StoreOptions options = {.path = folder.File("agentd.db"), .readers = 1, .vfs = disk.name()};
    const absl::Status status = OpenStores(options).status();
    if (syncs < failing) break;
    EXPECT_FALSE(status.ok()) << "sync " << failing;
    refused += status.ok() ? 0 : 1;
    disk.sync_fails = nullptr;
    EXPECT_TRUE(OpenStores(options).ok()) << "after sync " << failing;
  }
  EXPECT_GE(refused, 5);
}

TEST_F(SqliteFailStopTest, SomebodyElseWhoTakesTheEpochEndsTheProcess) {
  const auto write = [&] {
    auto stores = OpenStores({.path = path()});
    CreateNow(*stores->store, TestRun(TestRunId(1)));
    sqlite3* other = nullptr;
    sqlite3_open(path().c_str(), &other);
    sqlite3_exec(other, "UPDATE server SET epoch = epoch + 1", nullptr, nullptr, nullptr);
    AppendNow(*stores->store, TestAppend(TestRunId(1), stores->store->epoch(), 1));
  };
  EXPECT_EXIT(write(), ::testing::ExitedWithCode(74), "something else writes to it");
  ExpectCleanStart(1);
}

// Linux lets go on who has a file open that has no name any more.
TEST_F(SqliteFailStopTest, FilesThatWereRemovedAcknowledgeNothing) {
  const auto write = [&](const std::function<void()>& meanwhile) {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path() + end);  // what the one before left
    auto stores = OpenStores({.path = path()});
    CreateNow(*stores->store, TestRun(TestRunId(1)));
    meanwhile();
    AppendNow(*stores->store, TestAppend(TestRunId(1), stores->store->epoch(), 1));
    std::_Exit(1);  // acknowledged
  };
  const auto remove = [&](const std::string& end) { return [file = path() + end] { std::filesystem::remove(file); }; };
  EXPECT_EXIT(write(remove("")), ::testing::ExitedWithCode(74), "agentd.db was removed or replaced");
  EXPECT_EXIT(write(remove("-wal")), ::testing::ExitedWithCode(74), "agentd.db-wal was removed or replaced");
  const auto replace = [&] {
    std::filesystem::copy_file(path(), path() + ".copy");
    std::filesystem::rename(path() + ".copy", path());
  };
  EXPECT_EXIT(write(replace), ::testing::ExitedWithCode(74), "agentd.db was removed or replaced");
}

// The log of a store that was opened is there and empty, until something is written.
TEST_F(SqliteFailStopTest, ACommitThatWritesNothingFindsAllFiles) {
  auto stores = OpenStores({.path = path()});
  ASSERT_TRUE(stores.ok()) << stores.status();
  EXPECT_EQ(std::filesystem::file_size(path() + "-wal"), 0u);
  EXPECT_EQ(DeleteNow(*stores->store, TestRunId(1)).code(), absl::StatusCode::kNotFound);
}

TEST_F(SqliteFailStopTest, ABrokenContractEndsTheProcess) {
  const auto append = [&](AppendRequest request) {
    auto stores = OpenStores({.path = path()});
    stores->store->Append(std::move(request), [](AppendResult) {});
  };
  AppendRequest gap = TestAppend(TestRunId(1), 1, 1, 3);
  gap.events.erase(gap.events.begin() + 1);
  EXPECT_DEATH(append(gap), "sequences follow the last one");
  EXPECT_DEATH(append(TestAppend(TestRunId(1), 1, 1, 0)), "an append has an event");
  EXPECT_DEATH(append(TestAppend(TestRunId(1), 1, 1, 1, TestProjection(9))), "the projection is of the last event");
}

}  // namespace
}  // namespace agentruntime::sqlite
