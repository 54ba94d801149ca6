// Runs that wait for a session, in the order in which they get one: higher priority first, of equals the older.
//
// A run gains one level for each minute that it waits, so that none starves: whatever arrives at priority 10 takes precedence over a run of priority -10 for
// twenty minutes and no longer. Since all gain alike, the order of two runs never changes, and a binary heap is enough.
#pragma once

#include <cstddef>
#include <cstdint>
#include <queue>
#include <vector>

#include "absl/time/time.h"
#include "proto/base/id.h"

namespace agentruntime {

inline constexpr absl::Duration kPriorityLevelAge = absl::Minutes(1);

struct QueuedRun {
  RunId id;
  int32_t priority = 0;
  absl::Time ready;  // since when it waits: it was accepted, may begin, or is due
};

// Not thread-safe. About 32 bytes a run.
class RunQueue {
 public:
  void Push(const QueuedRun& run) { heap_.push({run.ready - run.priority * kPriorityLevelAge, run.id}); }
  RunId Pop() {
    const RunId run = heap_.top().run;
    heap_.pop();
    return run;
  }
  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }

 private:
  struct Place {
    absl::Time rank;  // the smallest goes first
    RunId run;
    bool operator<(const Place& other) const { return rank != other.rank ? rank > other.rank : run > other.run; }
  };
  std::priority_queue<Place> heap_;
};

}  // namespace agentruntime
