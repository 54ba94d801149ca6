// A store whose user has used up a quota. An executable of its own: what SQLite writes with is of the process.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

std::atomic<bool> used_up = false;

ssize_t WriteUnderQuota(int file, const void* data, size_t size, off64_t offset) {
  if (!used_up) return pwrite64(file, data, size, offset);
  errno = EDQUOT;
  return -1;
}

TEST(SqliteQuotaTest, AUsedUpQuotaOnlyDelaysWrites) {
  sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
  ASSERT_EQ(vfs->xSetSystemCall(vfs, "pwrite64", reinterpret_cast<sqlite3_syscall_ptr>(&WriteUnderQuota)), SQLITE_OK);
  const TempDir folder;
  auto stores = OpenStores({.path = folder.File("agentd.db")});
  ASSERT_TRUE(stores.ok()) << stores.status();
  Store& store = *stores->store;
  Awaited<bool> unwritable, done;
  store.SetWritableListener([&](bool writable) {
    if (!writable) unwritable.Set(true);
  });
  const RunId run = TestRunId(1);
  CreateNow(store, TestRun(run));
  used_up = true;
  store.Append(TestAppend(run, store.epoch(), 1), [&](AppendResult result) { done.Set(result == AppendResult::kDurable); });
  unwritable.Wait();
  EXPECT_EQ(ReadAll(store, run)->size(), 1u);
  used_up = false;
  EXPECT_TRUE(done.Wait());
  EXPECT_EQ(ReadAll(store, run)->size(), 2u);
}

}  // namespace
}  // namespace agentruntime::sqlite
