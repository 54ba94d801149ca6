// A disk that fails when told to: an SQLite file system over the real one.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <functional>
#include <string>

#include "tests/support/counter.h"

namespace agentruntime {

// Registered under its own name while it lives. Switches take effect at the next operation and may be set from any thread.
class FaultVfs {
 public:
  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  const std::string& name() const { return name_; }

  std::atomic<bool> full = false;               // writes find no space
  std::atomic<bool> fail_log_sync = false;      // a sync of the -wal file fails
  std::atomic<bool> fail_main_sync = false;     // a sync of the database file fails
  std::atomic<bool> fail_write = false;         // writes fail as a broken disk does
  std::atomic<bool> fail_log_cut = false;       // the -wal file cannot be made shorter
  std::atomic<bool> full_index = false;         // the shared index of the log cannot grow
  std::function<bool(bool is_log)> sync_fails;  // asked at each sync of the log or the database; set while no file is open
  testing::Counter full_writes;                 // writes that found no space so far
  std::atomic<int> log_syncs = 0;               // syncs of the -wal file so far

 private:
  static int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* flags_out);

  std::string name_;
  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;
};

}  // namespace agentruntime
