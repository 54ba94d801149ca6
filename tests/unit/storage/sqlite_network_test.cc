// A store on a network file system is refused, and nothing is made there. This machine has none, so one folder is said to be one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "storage/sqlite/database_file.h"
#include "storage/sqlite/stores.h"
#include "tests/support/temp_dir.h"

namespace {

std::string& NetworkFolder() {
  static std::string& folder = *new std::string;
  return folder;
}

}  // namespace

// In the place of the C library's.
extern "C" int statfs(const char* path, struct statfs* result) noexcept {
  const long code = syscall(SYS_statfs, path, result);
  if (code == 0 && path == NetworkFolder()) result->f_type = NFS_SUPER_MAGIC;
  return static_cast<int>(code);
}

namespace agentruntime::sqlite {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(SqliteNetworkTest, AStoreOnANetworkFileSystemIsRefused) {
  const TempDir folder;
  const std::string path = folder.File("far/agentd.db");
  ASSERT_TRUE(OpenStores({.path = path}).ok());
  NetworkFolder() = std::filesystem::canonical(folder.File("far"));
  for (const absl::Status& status :
       {OpenStores({.path = path}).status(), OpenStores({.path = folder.File("far/other.db")}).status(), FileClaim::MakeExisting(path).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr(folder.File("far/")), HasSubstr("network file system (nfs)"), HasSubstr("put it on a local disk")));
    EXPECT_FALSE(IsInUse(status));
  }
  EXPECT_FALSE(std::filesystem::exists(folder.File("far/other.db")));
  EXPECT_FALSE(std::filesystem::exists(folder.File("far/other.db.lock")));
  NetworkFolder().clear();
  EXPECT_TRUE(OpenStores({.path = path}).ok());
}

}  // namespace
}  // namespace agentruntime::sqlite
