// A disk that remembers what was asked of it: an SQLite file system over the real one that records each change and each sync, in order.
//
// Source of the idea: SQLite's own crash tests (test6.c), which keep unsynced writes apart; and dm-log-writes, which records once and cuts afterwards.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "proto/base/mutex.h"

namespace agentruntime::testing {

// The files of a folder, by name.
using DiskImage = std::map<std::string, std::string>;

// One call that changed a file or made changes last.
struct DiskCall {
  enum class Kind { kMake, kWrite, kTruncate, kSync, kRemove };
  Kind kind;
  std::string name;     // of the file, without its folder
  int64_t offset = 0;   // kWrite: where; kTruncate: the new size
  std::string data;     // kWrite
  bool is_log = false;  // the write-ahead log
  bool folder = false;  // the folder's names are synced as well
};

// What a disk held, and what happened to it since.
struct DiskTrace {
  DiskImage before;
  std::vector<DiskCall> calls;
};

// Registered under its own name while it lives. Syncs are recorded, never done: the real disk is not what is tested. Thread-safe.
class RecordingVfs {
 public:
  RecordingVfs();
  ~RecordingVfs();
  RecordingVfs(const RecordingVfs&) = delete;
  RecordingVfs& operator=(const RecordingVfs&) = delete;

  const std::string& name() const { return name_; }

  // Records from now on, over a folder that holds `before`. No file is open.
  void Record(DiskImage before) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends it.
  DiskTrace Take() ABSL_LOCKS_EXCLUDED(mu_);
  // Calls recorded so far.
  int64_t position() ABSL_LOCKS_EXCLUDED(mu_);

  // Between Hold and Release a write of the log waits, so that a test decides what one transaction holds.
  void Hold() ABSL_LOCKS_EXCLUDED(mu_);
  // Returns once a write of the log waits.
  void AwaitHeld() ABSL_LOCKS_EXCLUDED(mu_);
  void Release() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct File;
  struct Calls;

  void Add(DiskCall call) ABSL_LOCKS_EXCLUDED(mu_);
  void PassHold() ABSL_LOCKS_EXCLUDED(mu_);
  void NoteMade(const std::string& name) ABSL_LOCKS_EXCLUDED(mu_);

  std::string name_;
  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;

  Mutex mu_;
  CondVar changed_;
  bool recording_ ABSL_GUARDED_BY(mu_) = false;
  bool hold_ ABSL_GUARDED_BY(mu_) = false;
  bool held_ ABSL_GUARDED_BY(mu_) = false;
  DiskTrace trace_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> present_ ABSL_GUARDED_BY(mu_);  // names
};

}  // namespace agentruntime::testing
