#include "tests/support/recording_vfs.h"

#include <atomic>
#include <new>
#include <utility>

namespace agentruntime::testing {
namespace {

std::string BaseName(const char* path) {
  const std::string text = path == nullptr ? "" : path;
  return text.substr(text.rfind('/') + 1);
}

}  // namespace

// What SQLite holds of an open file; the real file follows it in memory, so it stays plain: the name is SQLite's own, valid while the file is open.
struct RecordingVfs::File {
  sqlite3_file base;
  RecordingVfs* disk;
  const char* path;
  bool is_log;
  bool syncs_folder;  // with its next sync
};

struct RecordingVfs::Calls {
  static File& Self(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<sqlite3_file*>(reinterpret_cast<File*>(file) + 1); }
  static const sqlite3_io_methods& Methods(sqlite3_file* file) { return *Real(file)->pMethods; }
  static DiskCall Call(sqlite3_file* file, DiskCall::Kind kind) {
    return {.kind = kind, .name = BaseName(Self(file).path), .offset = 0, .data = "", .is_log = Self(file).is_log, .folder = false};
  }

  static int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    if (Self(file).is_log) Self(file).disk->PassHold();
    DiskCall call = Call(file, DiskCall::Kind::kWrite);
    call.offset = offset;
    call.data.assign(static_cast<const char*>(data), static_cast<size_t>(size));
    Self(file).disk->Add(std::move(call));
    return Methods(file).xWrite(Real(file), data, size, offset);
  }
  static int Truncate(sqlite3_file* file, sqlite3_int64 size) {
    DiskCall call = Call(file, DiskCall::Kind::kTruncate);
    call.offset = size;
    Self(file).disk->Add(std::move(call));
    return Methods(file).xTruncate(Real(file), size);
  }
  static int Sync(sqlite3_file* file, int) {
    DiskCall call = Call(file, DiskCall::Kind::kSync);
    call.folder = std::exchange(Self(file).syncs_folder, false);
    Self(file).disk->Add(std::move(call));
    return SQLITE_OK;
  }
  static int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* flags_out) {
    auto* disk = static_cast<RecordingVfs*>(vfs->pAppData);
    // As SQLite's own file system for unix: the first sync of a log or journal syncs the folder too, whether or not the file was there when it was opened.
    const bool makes_log = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL)) != 0;
    File* opened = new (file) File{{nullptr}, disk, path, (flags & SQLITE_OPEN_WAL) != 0, makes_log};
    const int code = disk->real_->xOpen(disk->real_, path, Real(file), flags, flags_out);
    if (Real(file)->pMethods != nullptr) opened->base.pMethods = &kMethods;
    if (code == SQLITE_OK && path != nullptr && (flags & SQLITE_OPEN_CREATE) != 0) disk->NoteMade(BaseName(path));
    return code;
  }
  static int Delete(sqlite3_vfs* vfs, const char* path, int sync_folder) {
    auto* disk = static_cast<RecordingVfs*>(vfs->pAppData);
    const int code = disk->real_->xDelete(disk->real_, path, 0);
    if (code == SQLITE_OK) disk->Add({.kind = DiskCall::Kind::kRemove, .name = BaseName(path), .folder = sync_folder != 0});
    return code;
  }

  static const sqlite3_io_methods kMethods;
};

const sqlite3_io_methods RecordingVfs::Calls::kMethods = {
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
    .xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** out) { return Methods(f).xShmMap(Real(f), page, size, extend, out); },
    .xShmLock = [](sqlite3_file* f, int offset, int count, int flags) { return Methods(f).xShmLock(Real(f), offset, count, flags); },
    .xShmBarrier = [](sqlite3_file* f) { Methods(f).xShmBarrier(Real(f)); },
    .xShmUnmap = [](sqlite3_file* f, int remove) { return Methods(f).xShmUnmap(Real(f), remove); },
};

RecordingVfs::RecordingVfs() : real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  static std::atomic<int> count = 0;
  name_ = "recording" + std::to_string(++count);
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = &Calls::Open;
  vfs_.xDelete = &Calls::Delete;
  sqlite3_vfs_register(&vfs_, 0);
}

RecordingVfs::~RecordingVfs() { sqlite3_vfs_unregister(&vfs_); }

void RecordingVfs::Record(DiskImage before) {
  MutexLock lock(mu_);
  present_.clear();
  for (const auto& [name, bytes] : before) present_.insert(name);
  trace_ = {.before = std::move(before), .calls = {}};
  recording_ = true;
}

DiskTrace RecordingVfs::Take() {
  MutexLock lock(mu_);
  recording_ = false;
  return std::exchange(trace_, {});
}

int64_t RecordingVfs::position() {
  MutexLock lock(mu_);
  return static_cast<int64_t>(trace_.calls.size());
}

void RecordingVfs::Add(DiskCall call) {
  MutexLock lock(mu_);
  if (!recording_) return;
  if (call.kind == DiskCall::Kind::kRemove) present_.erase(call.name);
  trace_.calls.push_back(std::move(call));
}

void RecordingVfs::NoteMade(const std::string& name) {
  MutexLock lock(mu_);
  if (!recording_ || !present_.insert(name).second) return;
  trace_.calls.push_back({.kind = DiskCall::Kind::kMake, .name = name});
}

void RecordingVfs::Hold() {
  MutexLock lock(mu_);
  hold_ = true;
}

void RecordingVfs::AwaitHeld() {
  MutexLock lock(mu_);
  while (!held_) changed_.Wait(mu_);
}

void RecordingVfs::Release() {
  MutexLock lock(mu_);
  hold_ = false;
  changed_.NotifyAll();
}

void RecordingVfs::PassHold() {
  MutexLock lock(mu_);
  if (!hold_) return;
  held_ = true;
  changed_.NotifyAll();
  while (hold_) changed_.Wait(mu_);
  held_ = false;
}

}  // namespace agentruntime::testing
