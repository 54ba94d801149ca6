// What one transaction takes, and when those who wait hear of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/util/limits.h"
#include "storage/sqlite/stores.h"
#include "storage/sqlite/writer.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/await.h"
#include "tests/support/counter.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

using ::testing::ElementsAre;

// A SQL prompt beside the server: it sees what is committed.
class Prompt {
 public:
  explicit Prompt(const std::string& path) {
    if (sqlite3_open(path.c_str(), &handle_) != SQLITE_OK) abort();
  }
  ~Prompt() { sqlite3_close(handle_); }
  Prompt(const Prompt&) = delete;
  Prompt& operator=(const Prompt&) = delete;

  int Execute(const char* sql) { return sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); }
  int64_t Query(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v2(handle_, sql, -1, &statement, nullptr);
    const int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_finalize(statement);
    return value;
  }

 private:
  sqlite3* handle_ = nullptr;
};

class SqliteBatchTest : public ::testing::Test {
 protected:
  SqliteBatchTest() {
    auto stores = OpenStores({.path = path_});
    if (!stores.ok()) abort();
    stores_ = *std::move(stores);
  }
  Store& store() { return *stores_.store; }
  AppendRequest Append(Sequence after, int events, int event_bytes) {
    AppendRequest request = TestAppend(TestRunId(1), store().epoch(), after, events);
    for (EventPtr& event : request.events) event = TestEvent(event->sequence(), store().epoch(), event_bytes);
    return request;
  }

  TempDir folder_;
  const std::string path_ = folder_.File("agentd.db");
  Stores stores_;
};

TEST_F(SqliteBatchTest, ATransactionTakesAThousandItemsAtMost) {
  constexpr int kRuns = 2500;
  static_assert(kBatchItemsMax == 1000);
  Prompt prompt(path_);
  std::set<int64_t> committed;  // runs, as seen by each completion; of the store's thread until `last`
  Awaited<bool> last;
  Plug plug(store(), TestRunId(10'000));
  for (int number = 1; number <= kRuns; ++number) {
    store().Create(TestRun(TestRunId(number)), [&, number](CreateOutcome) {
      committed.insert(prompt.Query("SELECT count(*) FROM runs") - 1);
      if (number == kRuns) last.Set(true);
    });
  }
  plug.Release();
  last.Wait();
  EXPECT_THAT(committed, ElementsAre(1000, 2000, 2500));
}

TEST_F(SqliteBatchTest, ATransactionTakesFourMebibytesAtMost) {
  static_assert(kBatchBytesMax == 4 << 20);
  CreateNow(store(), TestRun(TestRunId(1)));
  Prompt prompt(path_);
  std::set<int64_t> committed;  // the last sequence
  Awaited<bool> last;
  Plug plug(store(), TestRunId(2));
  for (Sequence after = 1; after <= 10; ++after) {
    store().Append(Append(after, 1, 1'000'000), [&, after](AppendResult) {
      committed.insert(prompt.Query("SELECT max(sequence) FROM events"));
      if (after == 10) last.Set(true);
    });
  }
  plug.Release();
  last.Wait();
  EXPECT_THAT(committed, ElementsAre(5, 9, 11));
}

TEST_F(SqliteBatchTest, AnItemThatIsLargerHasATransactionOfItsOwn) {
  CreateNow(store(), TestRun(TestRunId(1)));
  Prompt prompt(path_);
  std::set<int64_t> committed;
  Awaited<bool> last;
  const auto note = [&](AppendResult) { committed.insert(prompt.Query("SELECT max(sequence) FROM events")); };
  Plug plug(store(), TestRunId(2));
  store().Append(Append(1, 1, 100), note);
  store().Append(Append(2, 6, 1'000'000), note);
  store().Append(Append(8, 1, 100), [&](AppendResult result) {
    note(result);
    last.Set(true);
  });
  plug.Release();
  last.Wait();
  EXPECT_THAT(committed, ElementsAre(2, 8, 9));
}

// Whoever is told may post it anywhere and be late: nothing of the transaction is open any more, and what it wrote is there for everybody.
TEST_F(SqliteBatchTest, CompletionsComeBehindTheCommitOnOneThread) {
  Prompt prompt(path_);
  std::vector<int> locks;      // whether the prompt could write; all of the store's thread until `deleted`
  std::vector<int64_t> found;  // what it saw
  std::set<std::thread::id> threads;
  Awaited<bool> appended, deleted;
  const auto look = [&](const char* sql) {
    threads.insert(std::this_thread::get_id());
    found.push_back(prompt.Query(sql));
    locks.push_back(prompt.Execute("BEGIN IMMEDIATE"));
    prompt.Execute("ROLLBACK");
  };
  Plug plug(store(), TestRunId(2));
  store().Create(TestRun(TestRunId(1)), [&](CreateOutcome) { look("SELECT count(*) FROM runs"); });
  store().Append(TestAppend(TestRunId(1), store().epoch(), 1, 1, StoppedProjection(2)), [&](AppendResult) {
    look("SELECT max(sequence) FROM events");
    appended.Set(true);
  });
  plug.Release();
  appended.Wait();
  store().Delete(TestRunId(1), [&](const absl::Status&) {
    look("SELECT count(*) FROM runs");
    deleted.Set(true);
  });
  deleted.Wait();
  EXPECT_THAT(locks, ElementsAre(SQLITE_OK, SQLITE_OK, SQLITE_OK));
  EXPECT_THAT(found, ElementsAre(2, 2, 1));
  EXPECT_EQ(threads.size(), 1u);
  EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

// Asleep, as a thread is that waits for another; one that works is not.
bool IsAsleep(pid_t thread) {
  std::ifstream stat(absl::StrCat("/proc/self/task/", thread, "/stat"));
  std::string line;
  std::getline(stat, line);
  return absl::StrContains(line, ") S ");
}

// The store's queue is bounded, and who comes after that waits for room: memory does not grow with a slow disk.
TEST_F(SqliteBatchTest, WhoFindsTheQueueFullWaitsUntilThereIsRoom) {
  constexpr int kFit = kQueueBytesMax / kArtifactBytesMax;
  constexpr int kPushes = kFit + 4;
  // All of one content, for a run that is not there: they fill the queue and neither memory nor the disk.
  const StagedArtifact artifact = TestArtifact(1, kArtifactBytesMax);
  std::atomic<pid_t> pusher = 0;
  std::atomic<int> pushed = 0;
  testing::Counter done;
  Plug plug(store(), TestRunId(2));
  std::thread thread([&] {
    pusher = gettid();
    for (int i = 0; i < kPushes; ++i) {
      AppendRequest append = TestAppend(TestRunId(1), store().epoch(), 1);
      append.artifacts.push_back(artifact);
      store().Append(std::move(append), [&](AppendResult) { done.Add(); });
      ++pushed;
    }
  });
  const auto is_blocked = [&] { return pushed == kFit && IsAsleep(pusher); };
  EXPECT_TRUE(testing::AwaitThat("the queue is full", [&] { return pushed > kFit || is_blocked(); }));
  EXPECT_EQ(pushed, kFit);
  EXPECT_EQ(done.value(), 0);
  plug.Release();
  EXPECT_TRUE(done.Await(kPushes));
  thread.join();
}

}  // namespace
}  // namespace agentruntime::sqlite
