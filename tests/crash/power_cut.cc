#include "tests/crash/power_cut.h"

#include <algorithm>

namespace agentruntime::testing {
namespace {

constexpr int64_t kSectorBytes = 512;

void Resize(std::string& file, int64_t size) { file.resize(static_cast<size_t>(size), '\0'); }

void Put(std::string& file, int64_t offset, const char* data, int64_t size) {
  if (static_cast<int64_t>(file.size()) < offset + size) Resize(file, offset + size);
  file.replace(static_cast<size_t>(offset), static_cast<size_t>(size), data, static_cast<size_t>(size));
}

void Apply(std::string& file, const DiskCall& call) {
  if (call.kind == DiskCall::Kind::kTruncate) {
    Resize(file, call.offset);
  } else {
    Put(file, call.offset, call.data.data(), static_cast<int64_t>(call.data.size()));
  }
}

// A part of a write reaches the disk.
void Tear(std::string& file, const DiskCall& call, Random& random) {
  const int64_t end = call.offset + static_cast<int64_t>(call.data.size());
  const int64_t sectors = (end + kSectorBytes - 1) / kSectorBytes - call.offset / kSectorBytes;
  const auto cut_sector = static_cast<int64_t>(Below(random, static_cast<uint64_t>(sectors)));
  const uint64_t cut_style = Below(random, 4);  // of that one sector: first bytes, last bytes, neither, whole
  int64_t sector = 0;
  for (int64_t from = call.offset; from < end; ++sector) {
    const int64_t to = std::min(end, (from / kSectorBytes + 1) * kSectorBytes);
    const char* data = call.data.data() + (from - call.offset);
    const bool whole = Below(random, 2) == 0;
    if (sector == cut_sector && cut_style < 3) {
      const auto kept = static_cast<int64_t>(Below(random, static_cast<uint64_t>(to - from)));
      if (cut_style == 0) {
        Put(file, from, data, kept);
      } else if (cut_style == 1) {
        Put(file, to - kept, data + (to - from - kept), kept);
      } else if (call.is_log || from >= kSectorBytes) {
        // The first sector of a database is what people look at before SQLite does; a disk that destroys it needs a backup.
        std::string noise(static_cast<size_t>(to - from), '\0');
        for (char& byte : noise) byte = static_cast<char>(random());
        Put(file, from, noise.data(), to - from);
      }
    } else if (whole) {
      Put(file, from, data, to - from);
    }
    from = to;
  }
}

// How much of what was not synced survives, for one file.
struct Fate {
  uint64_t there = 0;  // of 8: a change is there
  uint64_t torn = 0;   // of 8: a change that is there is torn
  bool last_torn = false;
};

Fate Draw(Random& random) {
  switch (Below(random, 6)) {
    case 0: return {};                                          // nothing
    case 1: return {.there = 8};                                // everything
    case 2: return {.there = 8, .torn = 0, .last_torn = true};  // everything, and the last one in part
    case 3: return {.there = 4};                                // half of it
    case 4: return {.there = 7, .torn = 1};
    default: return {.there = Below(random, 9), .torn = Below(random, 9)};
  }
}

}  // namespace

PowerCut::PowerCut(const DiskTrace& trace, bool ignore_syncs) : trace_(trace), ignore_syncs_(ignore_syncs) {
  for (const auto& [name, bytes] : trace.before) inodes_.push_back({.name = name, .durable = bytes, .unsynced = {}});
}

PowerCut::Inode* PowerCut::Find(const std::string& name) {
  for (auto inode = inodes_.rbegin(); inode != inodes_.rend(); ++inode) {
    if (inode->name == name && !inode->removed) return &*inode;
  }
  return nullptr;
}

void PowerCut::SyncFolder() {
  std::erase_if(inodes_, [](const Inode& inode) { return inode.removed; });
  for (Inode& inode : inodes_) inode.made = true;
}

void PowerCut::Pass() {
  const DiskCall& call = trace_.calls[static_cast<size_t>(position_++)];
  if (call.kind == DiskCall::Kind::kMake) {
    inodes_.push_back({.name = call.name, .durable = "", .unsynced = {}, .made = false});
    return;
  }
  Inode* const inode = Find(call.name);
  if (inode == nullptr) return;
  switch (call.kind) {
    case DiskCall::Kind::kWrite:
    case DiskCall::Kind::kTruncate: inode->unsynced.push_back(&call); return;
    case DiskCall::Kind::kRemove: inode->removed = true; break;
    case DiskCall::Kind::kSync:
      if (ignore_syncs_) return;
      for (const DiskCall* change : inode->unsynced) Apply(inode->durable, *change);
      inode->unsynced.clear();
      break;
    case DiskCall::Kind::kMake: break;
  }
  if (call.folder && !ignore_syncs_) SyncFolder();
}

DiskImage PowerCut::Survivors(Random& random) const {
  DiskImage image;
  for (const Inode& inode : inodes_) {
    const Fate fate = Draw(random);
    if (!inode.made && Below(random, 8) >= fate.there) continue;
    if (inode.removed && Below(random, 2) == 0) continue;
    std::string& file = image[inode.name] = inode.durable;
    for (const DiskCall* change : inode.unsynced) {
      if (Below(random, 8) >= fate.there) continue;
      const bool torn = Below(random, 8) < fate.torn || (fate.last_torn && change == inode.unsynced.back());
      if (torn && change->kind == DiskCall::Kind::kWrite) {
        Tear(file, *change, random);
      } else {
        Apply(file, *change);
      }
    }
  }
  return image;
}

DiskImage PowerCut::Everything() const {
  DiskImage image;
  for (const Inode& inode : inodes_) {
    if (inode.removed) continue;
    std::string& file = image[inode.name] = inode.durable;
    for (const DiskCall* change : inode.unsynced) Apply(file, *change);
  }
  return image;
}

bool PowerCut::before_sync_of_log() const {
  if (at_end()) return false;
  const DiskCall& next = trace_.calls[static_cast<size_t>(position_)];
  return next.kind == DiskCall::Kind::kSync && next.is_log;
}

}  // namespace agentruntime::testing
