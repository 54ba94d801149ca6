#include "runtime/sleepers.h"

#include <algorithm>

#include "proto/util/limits.h"
#include "runtime/backoff.h"

namespace agentruntime {

bool IsDue(const Sleeper& sleeper, absl::Time now) {
  switch (sleeper.until) {
    case Sleeper::Until::kStart: return sleeper.wake <= now;
    case Sleeper::Until::kPerson: return sleeper.wake <= now || sleeper.wake - now > kCallWaitMaximum;
    case Sleeper::Until::kRetry: return IsRetryDue(sleeper.wake, now);
  }
  return true;
}

void Sleepers::Add(const RunId& run, const Sleeper& sleeper) {
  Remove(run);
  TimesOf(sleeper).emplace(sleeper.wake, run);
  by_run_[run] = sleeper;
  if (sleeper.until == Sleeper::Until::kStart) ++queued_;
}

void Sleepers::Remove(const RunId& run) {
  const auto at = by_run_.find(run);
  if (at == by_run_.end()) return;
  if (at->second.until == Sleeper::Until::kStart) --queued_;
  TimesOf(at->second).erase({at->second.wake, run});
  by_run_.erase(at);
}

std::optional<std::pair<RunId, Sleeper>> Sleepers::TakeDue(absl::Time now) {
  std::optional<RunId> due;
  if (first() <= now) {
    const Times* earliest = nullptr;
    for (const Times& times : times_) {
      if (!times.empty() && (earliest == nullptr || *times.begin() < *earliest->begin())) earliest = &times;
    }
    due = earliest->begin()->second;
  } else {
    for (const Times& times : times_) {
      if (!times.empty() && IsDue(by_run_.at(times.rbegin()->second), now)) due = times.rbegin()->second;
    }
  }
  if (!due) return std::nullopt;
  const std::pair<RunId, Sleeper> taken(*due, by_run_.at(*due));
  Remove(*due);
  return taken;
}

absl::Time Sleepers::first() const {
  absl::Time first = absl::InfiniteFuture();
  for (const Times& times : times_) {
    if (!times.empty()) first = std::min(first, times.begin()->first);
  }
  return first;
}

}  // namespace agentruntime
