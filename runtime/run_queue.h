// Runs that wait for a session, in the order in which they get one: higher priority first, of equals the older.
//
// A run gains one level for each minute that it waits, so that none starves: whatever arrives at priority 10 takes precedence over a run of priority -10 for
// twenty minutes and no longer. Since all gain alike, the order of two runs never changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "proto/base/id.h"

namespace agentruntime {

inline constexpr absl::Duration kPriorityLevelAge = absl::Minutes(1);

struct QueuedRun {
  RunId id;
  int32_t priority = 0;
  absl::Time ready;  // since when it waits: it was accepted, may begin, or is due
};

// Not thread-safe. About 130 bytes a run.
class RunQueue {
 public:
  // A run that waits already keeps its place.
  void Push(const QueuedRun& run) {
    const absl::Time rank = run.ready - run.priority * kPriorityLevelAge;
    if (ranks_.try_emplace(run.id, rank).second) order_.emplace(rank, run.id);
  }
  RunId Pop() {
    const RunId run = order_.begin()->second;
    Remove(run);
    return run;
  }
  // One that waits no more, if it did: a command loaded it, out of turn.
  void Remove(const RunId& run) {
    const auto at = ranks_.find(run);
    if (at == ranks_.end()) return;
    order_.erase({at->second, run});
    ranks_.erase(at);
  }
  // Whether its first run goes before the first of the other. Of the same moment, neither does: ids of one millisecond do not say which run is older.
  bool GoesBefore(const RunQueue& other) const { return !empty() && (other.empty() || order_.begin()->first < other.order_.begin()->first); }
  bool empty() const { return order_.empty(); }
  size_t size() const { return order_.size(); }

 private:
  std::set<std::pair<absl::Time, RunId>> order_;  // the smallest rank goes first
  absl::flat_hash_map<RunId, absl::Time> ranks_;  // looked up only
};

}  // namespace agentruntime
