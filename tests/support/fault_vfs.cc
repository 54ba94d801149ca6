#include "tests/support/fault_vfs.h"

#include <new>

namespace agentruntime {
namespace {

// What SQLite holds of an open file; the real file follows it in memory.
struct File {
  sqlite3_file base;
  FaultVfs* disk;
  bool is_log;
  bool is_main;
};

sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<sqlite3_file*>(reinterpret_cast<File*>(file) + 1); }
const sqlite3_io_methods& Methods(sqlite3_file* file) { return *Real(file)->pMethods; }

int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  const File& self = *reinterpret_cast<File*>(file);
  if (self.disk->full && (self.is_log || self.is_main)) {
    self.disk->full_writes.Add();
    return SQLITE_FULL;  // as SQLite's own file system says for ENOSPC
  }
  if (self.disk->fail_write && (self.is_log || self.is_main)) return SQLITE_IOERR_WRITE;
  return Methods(file).xWrite(Real(file), data, size, offset);
}

int Sync(sqlite3_file* file, int flags) {
  const File& self = *reinterpret_cast<File*>(file);
  if (self.is_log) ++self.disk->log_syncs;
  if ((self.is_log && self.disk->fail_log_sync) || (self.is_main && self.disk->fail_main_sync)) return SQLITE_IOERR_FSYNC;
  if ((self.is_log || self.is_main) && self.disk->sync_fails && self.disk->sync_fails(self.is_log)) return SQLITE_IOERR_FSYNC;
  return Methods(file).xSync(Real(file), flags);
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const File& self = *reinterpret_cast<File*>(file);
  if (self.is_log && self.disk->fail_log_cut) return SQLITE_IOERR_TRUNCATE;
  return Methods(file).xTruncate(Real(file), size);
}

int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  if (!reinterpret_cast<File*>(file)->disk->full_index) return Methods(file).xShmMap(Real(file), page, size, extend, out);
  const int code = Methods(file).xShmMap(Real(file), page, size, 0, out);
  return code == SQLITE_OK && *out == nullptr && extend != 0 ? SQLITE_IOERR_SHMSIZE : code;  // as SQLite's own says for ENOSPC
}

const sqlite3_io_methods kMethods = {
    .iVersion = 2,
    .xClose = [](sqlite3_file* f) { return Methods(f).xClose(Real(f)); },
    .xRead = [](sqlite3_file* f, void* data, int size, sqlite3_int64 offset) { return Methods(f).xRead(Real(f), data, size, offset); },
    .xWrite = &Write,
    .xTruncate = &Truncate,
    .xSync = &Sync,
    .xFileSize = [](sqlite3_file* f, sqlite3_int64* size) { return Methods(f).xFileSize(Real(f), size); },
    .xLock = [](sqlite3_file* f, int lock) { return Methods(f).xLock(Real(f), lock); },
    .xUnlock = [](sqlite3_file* f, int lock) { return Methods(f).xUnlock(Real(f), lock); },
    .xCheckReservedLock = [](sqlite3_file* f, int* out) { return Methods(f).xCheckReservedLock(Real(f), out); },
    .xFileControl = [](sqlite3_file* f, int op, void* argument) { return Methods(f).xFileControl(Real(f), op, argument); },
    .xSectorSize = [](sqlite3_file* f) { return Methods(f).xSectorSize(Real(f)); },
    .xDeviceCharacteristics = [](sqlite3_file* f) { return Methods(f).xDeviceCharacteristics(Real(f)); },
    .xShmMap = &ShmMap,
    .xShmLock = [](sqlite3_file* f, int offset, int count, int flags) { return Methods(f).xShmLock(Real(f), offset, count, flags); },
    .xShmBarrier = [](sqlite3_file* f) { Methods(f).xShmBarrier(Real(f)); },
    .xShmUnmap = [](sqlite3_file* f, int remove) { return Methods(f).xShmUnmap(Real(f), remove); },
};

}  // namespace

FaultVfs::FaultVfs() : real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  static std::atomic<int> count = 0;
  name_ = "fault" + std::to_string(++count);
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = &Open;
  sqlite3_vfs_register(&vfs_, 0);
}

FaultVfs::~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }

int FaultVfs::Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* flags_out) {
  auto* disk = static_cast<FaultVfs*>(vfs->pAppData);
  File* opened = new (file) File{{nullptr}, disk, (flags & SQLITE_OPEN_WAL) != 0, (flags & SQLITE_OPEN_MAIN_DB) != 0};
  const int code = disk->real_->xOpen(disk->real_, path, Real(file), flags, flags_out);
  if (Real(file)->pMethods != nullptr) opened->base.pMethods = &kMethods;
  return code;
}

}  // namespace agentruntime
