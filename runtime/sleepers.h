// Runs out of memory that have a time to be looked at again: their start, the expiry of what a person is asked, the next try of what failed, a deadline.
#pragma once

#include <array>
#include <cstddef>
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
    kEnd,  // it does not sleep, it waits for a place to work: until then
  };
  Until until = Until::kPerson;
  absl::Time wake;
  int32_t priority = 0;
  bool stops = false;  // at `wake` its timeout is over
  // When something is promised to it whatever it sleeps until: its deadline, or the expiry of what a person is asked besides.
  absl::Time promise = absl::InfiniteFuture();
};

// Its time has come, or lies further ahead than any that is set for a person or a retry: the clock was set back meanwhile.
bool IsDue(const Sleeper& sleeper, absl::Time now);

// Of one that is due: something is promised for this moment (its stop, or what becomes of it if nobody answers), so it gets a session whether there is a place
// for it to work or not.
bool IsPromised(const Sleeper& sleeper, absl::Time now);

// Not thread-safe. As many as the store holds of them, about 180 bytes each.
class Sleepers {
 public:
  // Instead of what was known of it before. Never later than its promise.
  void Add(const RunId& run, Sleeper sleeper);
  // Nothing if it does not sleep.
  void Remove(const RunId& run);
  // The next that is due, or nothing.
  std::optional<std::pair<RunId, Sleeper>> TakeDue(absl::Time now);

  bool empty() const { return by_run_.empty(); }
  // And does not wait for a place to work.
  bool IsAsleep(const RunId& run) const;
  // When something is promised to it; InfiniteFuture if nothing is.
  absl::Time PromiseTo(const RunId& run) const;
  // InfiniteFuture if nobody sleeps.
  absl::Time first() const;
  // Of those, how many have not begun: they count as queued.
  int64_t queued() const { return queued_; }

 private:
  using Times = std::set<std::pair<absl::Time, RunId>>;
  Times& TimesOf(const Sleeper& sleeper) { return times_[static_cast<size_t>(sleeper.until)]; }

  std::array<Times, 4> times_;                  // one for each of Until: what lies too far ahead is another time for each
  absl::flat_hash_map<RunId, Sleeper> by_run_;  // looked up only
  int64_t queued_ = 0;
};

}  // namespace agentruntime
