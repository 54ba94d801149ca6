// Loaded into a server before the C library (LD_PRELOAD): writes and syncs of the store's files fail as the file FAILING_DISK_FILE says. Nothing is done of a
// call that fails.
#include "tests/crash/failing_disk.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace {

using agentruntime::testing::FailingDisk;

FailingDisk& Disk() {
  static FailingDisk* const disk = [] {
    const char* const path = getenv("FAILING_DISK_FILE");
    const int file = path == nullptr ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) abort();
    void* const memory = mmap(nullptr, sizeof(FailingDisk), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) abort();
    close(file);
    return static_cast<FailingDisk*>(memory);
  }();
  return *disk;
}

bool Is(int file, FailingDisk::File wanted) {
  char link[32], path[4096];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
  const ssize_t size = readlink(link, path, sizeof(path));
  if (size < 0) return false;
  const std::string_view name(path, static_cast<size_t>(size));
  return name.ends_with(wanted == FailingDisk::File::kLog ? "/agentd.db-wal" : "/agentd.db");
}

bool Fails(FailingDisk::Call call, int file) {
  FailingDisk& disk = Disk();
  const int64_t at = disk.at;
  if (at == 0 || disk.call != call || !Is(file, disk.file)) return false;
  const int64_t number = ++disk.seen;
  if (number < at || number >= at + disk.times) return false;
  sem_post(&disk.held);
  while (sem_wait(&disk.goes_on) != 0) {
    if (errno != EINTR) abort();
  }
  sem_post(&disk.goes_on);  // for the next
  errno = EIO;
  return true;
}

// Of the C library.
template <typename Function>
Function* Original(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int fdatasync(int file) {
  static const auto original = Original<int(int)>("fdatasync");
  return Fails(FailingDisk::Call::kSync, file) ? -1 : original(file);
}

int fsync(int file) {
  static const auto original = Original<int(int)>("fsync");
  return Fails(FailingDisk::Call::kSync, file) ? -1 : original(file);
}

ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t offset) {
  static const auto original = Original<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  return Fails(FailingDisk::Call::kWrite, file) ? -1 : original(file, bytes, size, offset);
}

}  // extern "C"
