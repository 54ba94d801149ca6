// Runs out of memory that have a time to be looked at again: their start, the expiry of what a person is asked, the next try of what failed.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "proto/base/id.h"

namespace agentruntime {

struct Sleeper {
  enum class Until {
    kStart,   // it has not begun
    kPerson,  // somebody answers, or the wait expires
    kRetry,
  };
  Until until = Until::kPerson;
  absl::Time wake;
  int32_t priority = 0;
};

// Not thread-safe. As many as the store holds of them, about 150 bytes each.
class Sleepers {
 public:
  // Instead of what was known of it before.
  void Add(const RunId& run, const Sleeper& sleeper);
  // Nothing if it does not sleep.
  void Remove(const RunId& run);
  // The next that is due, or nothing. A retry that lies further ahead than any is set (kRetryWaitMax) is due as well: the clock was set back meanwhile.
  std::optional<std::pair<RunId, Sleeper>> TakeDue(absl::Time now);

  bool empty() const { return by_run_.empty(); }
  bool contains(const RunId& run) const { return by_run_.contains(run); }
  // InfiniteFuture if nobody sleeps.
  absl::Time first() const;
  // Of those, how many have not begun: they count as queued.
  int64_t queued() const { return queued_; }

 private:
  using Times = std::set<std::pair<absl::Time, RunId>>;
  Times& TimesOf(const Sleeper& sleeper) { return sleeper.until == Sleeper::Until::kRetry ? retries_ : others_; }

  Times retries_;
  Times others_;
  absl::flat_hash_map<RunId, Sleeper> by_run_;  // looked up only
  int64_t queued_ = 0;
};

}  // namespace agentruntime
