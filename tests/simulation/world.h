// What every part of one simulation shares: time, the disk, the trace, and the verdict.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/simulation/dice.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/loop.h"
#include "tests/simulation/settings.h"

namespace agentruntime::simulation {

// How far the wall clock may be off, either way.
const absl::Duration kClockErrorMax = absl::Hours(1);

class World {
 public:
  World(uint64_t seed, bool print) : seed_(seed), print_(print), settings(seed), dice(seed, 2), outside(seed, 3, &now) {}

  // A line of what happened: the same seed gives the same lines.
  template <typename... Args>
  void Trace(const Args&... args) {
    Write(absl::StrCat(args...));
  }
  // A promise is broken. The first one counts.
  template <typename... Args>
  void Fail(const Args&... args) {
    if (failure_.empty()) failure_ = absl::StrCat(args...);
    Write(absl::StrCat("BROKEN: ", args...));
  }
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }
  uint64_t hash() const { return hash_; }
  uint64_t seed() const { return seed_; }
  const std::deque<std::string>& last_lines() const { return last_lines_; }

  absl::Time wall(absl::Duration monotonic) const { return absl::FromUnixSeconds(1'800'000'000) + monotonic + wall_offset; }

 private:
  void Write(std::string line);

  const uint64_t seed_;
  const bool print_;
  std::string failure_;
  uint64_t hash_ = 14695981039346656037u;
  std::deque<std::string> last_lines_;

 public:
  const Settings settings;
  Dice dice;  // of faults and clients
  absl::Duration now;
  absl::Duration wall_offset;
  absl::Duration disturbed;  // when the disk, the clock or the operator last interfered with promised times
  Loop outside;              // clients and operators: they outlive every process
  Disk disk;
  bool disk_full = false;
  bool faults = true;  // false: from here on everything must come to an end
  int effect_crashes = 0;
};

}  // namespace agentruntime::simulation
