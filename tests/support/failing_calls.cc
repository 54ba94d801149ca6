#include "tests/support/failing_calls.h"

#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/match.h"

namespace agentruntime::testing {
namespace {

using Open = int (*)(const char* path, int flags, int mode);
using Write = ssize_t (*)(int file, const void* data, size_t size, off64_t offset);
using Truncate = int (*)(int file, off_t size);
using Map = void* (*)(void* at, size_t size, int protection, int flags, int file, off_t offset);

// Set once, before SQLite uses them.
CallFault fault;
Open original_open;
Write original_write;
Truncate original_truncate;
Map original_map;

std::atomic<int64_t> first = 0;  // that fails
std::atomic<int64_t> seen = 0;
std::atomic<bool> failed = false;
std::array<std::atomic<StoreFile>, 4096> file_of;  // by descriptor

bool Fails(CallKind kind, StoreFile file) {
  if (kind != fault.kind || file != fault.file) return false;
  const int64_t number = ++seen;
  if (first == 0 || number < first || number >= first + fault.times) return false;
  failed = true;
  return true;
}

StoreFile FileOf(int descriptor) {
  return descriptor >= 0 && descriptor < static_cast<int>(file_of.size()) ? file_of[static_cast<size_t>(descriptor)].load() : StoreFile::kOther;
}

int FailingOpen(const char* path, int flags, int mode) {
  const StoreFile file = StoreFileOf(path);
  if (Fails(CallKind::kOpen, file)) {
    errno = fault.error;
    return -1;
  }
  const int descriptor = original_open(path, flags, mode);
  if (descriptor >= 0 && descriptor < static_cast<int>(file_of.size())) file_of[static_cast<size_t>(descriptor)] = file;
  return descriptor;
}

ssize_t FailingWrite(int file, const void* data, size_t size, off64_t offset) {
  if (!Fails(CallKind::kWrite, FileOf(file))) return original_write(file, data, size, offset);
  if (fault.error == 0) return original_write(file, data, size / 2, offset);
  errno = fault.error;
  return -1;
}

int FailingTruncate(int file, off_t size) {
  if (!Fails(CallKind::kTruncate, FileOf(file))) return original_truncate(file, size);
  errno = fault.error;
  return -1;
}

void* FailingMap(void* at, size_t size, int protection, int flags, int file, off_t offset) {
  if (!Fails(CallKind::kMap, FileOf(file))) return original_map(at, size, protection, flags, file, offset);
  errno = fault.error;
  return MAP_FAILED;
}

// Puts `call` in the place of SQLite's `name`, and tells what was there.
template <typename Function>
Function Replace(const char* name, Function call) {
  sqlite3_vfs* const vfs = sqlite3_vfs_find("unix");
  const auto original = reinterpret_cast<Function>(vfs->xGetSystemCall(vfs, name));
  if (original == nullptr || vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(call)) != SQLITE_OK) abort();
  return original;
}

}  // namespace

StoreFile StoreFileOf(absl::string_view path) {
  if (absl::EndsWith(path, ".db")) return StoreFile::kDatabase;
  return absl::EndsWith(path, "-wal") ? StoreFile::kLog : StoreFile::kOther;
}

void FailCalls(const CallFault& what) {
  fault = what;
  first = what.at;
  for (auto& file : file_of) file = StoreFile::kOther;
  original_open = Replace<Open>("open", &FailingOpen);
  original_write = Replace<Write>("pwrite64", &FailingWrite);
  original_truncate = Replace<Truncate>("ftruncate", &FailingTruncate);
  original_map = Replace<Map>("mmap", &FailingMap);
}

void FailFromNow() { first = seen + 1; }

int64_t CallsSeen() { return seen; }

bool CallFailed() { return failed; }

}  // namespace agentruntime::testing
