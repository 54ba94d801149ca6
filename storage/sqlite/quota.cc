#include "storage/sqlite/quota.h"

#include <sqlite3.h>
#include <sys/types.h>

#include <cerrno>

namespace agentruntime::sqlite {
namespace {

constexpr char kWrite[] = "pwrite64";  // SQLite's name of its own write call

using Write = ssize_t (*)(int file, const void* data, size_t size, off64_t offset);
Write original_write = nullptr;  // set once, before it is used

ssize_t WriteWithinQuota(int file, const void* data, size_t size, off64_t offset) {
  const ssize_t written = original_write(file, data, size, offset);
  if (written < 0 && errno == EDQUOT) errno = ENOSPC;
  return written;
}

bool Install() {
  sqlite3_vfs* const vfs = sqlite3_vfs_find("unix");
  if (vfs == nullptr || vfs->iVersion < 3) return false;
  original_write = reinterpret_cast<Write>(vfs->xGetSystemCall(vfs, kWrite));
  if (original_write == nullptr) return false;
  return vfs->xSetSystemCall(vfs, kWrite, reinterpret_cast<sqlite3_syscall_ptr>(&WriteWithinQuota)) == SQLITE_OK;
}

}  // namespace

void TreatQuotaAsFullDisk() {
  static const bool installed = Install();
  (void)installed;
}

}  // namespace agentruntime::sqlite
