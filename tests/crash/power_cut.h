// What a disk may hold after the power went away, derived from a recorded trace.
//
// The model of the disk: a synced change stays. Of what was not synced each change is there, gone, or torn: some of its 512-byte sectors are new, others
// old, one may be new only in its first or its last bytes, one may hold neither. A file that was made or removed without a sync of its folder may be
// there or not. Changes of different files, and unsynced ones of one file, survive independently of their order.
//
// Not modelled: a write that changes bytes beside it (SQLite and we assume none: "powersafe overwrite"), and disks that lie about a sync.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/support/recording_vfs.h"

namespace agentruntime::testing {

using Random = std::mt19937_64;
// 0 ... n - 1, the same on every platform.
inline uint64_t Below(Random& random, uint64_t n) { return random() % n; }

// Stands between two calls of a trace and can cut the power there. The trace outlives it.
class PowerCut {
 public:
  // `ignore_syncs`: as if the disk lied about every sync; a control that must be found out.
  explicit PowerCut(const DiskTrace& trace, bool ignore_syncs = false);

  // Calls passed so far.
  int64_t position() const { return position_; }
  bool at_end() const { return position_ == static_cast<int64_t>(trace_.calls.size()); }
  void Pass();

  // What survives a cut here: one of the many possibilities.
  DiskImage Survivors(Random& random) const;
  // That one of them in which nothing is lost, synced or not.
  DiskImage Everything() const;
  // The next call makes changes of the log last: until then they are anybody's guess.
  bool before_sync_of_log() const;

 private:
  struct Inode {
    std::string name;
    std::string durable;
    std::vector<const DiskCall*> unsynced;
    bool made = true;      // durably in the folder
    bool removed = false;  // no more in the folder, not durably
  };

  Inode* Find(const std::string& name);
  void SyncFolder();

  const DiskTrace& trace_;
  const bool ignore_syncs_;
  int64_t position_ = 0;
  std::vector<Inode> inodes_;  // in the order of their making
};

}  // namespace agentruntime::testing
