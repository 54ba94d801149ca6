#include "runtime/sleepers.h"

#include <algorithm>

#include "runtime/due.h"

namespace agentruntime {

bool IsDue(const Sleeper& sleeper, absl::Time now) {
  switch (sleeper.until) {
    case Sleeper::Until::kStart: return sleeper.wake <= now;
    case Sleeper::Until::kPerson: return IsExpiryDue(sleeper.wake, now);
    case Sleeper::Until::kRetry: return IsRetryDue(sleeper.wake, now);
    case Sleeper::Until::kEnd: return sleeper.wake <= now;
  }
  return true;
}

bool IsPromised(const Sleeper& sleeper, absl::Time now) {
  return sleeper.until == Sleeper::Until::kPerson || sleeper.until == Sleeper::Until::kEnd || sleeper.stops || sleeper.promise <= now;
}

void Sleepers::Add(const RunId& run, Sleeper sleeper) {
  Remove(run);
  sleeper.wake = std::min(sleeper.wake, sleeper.promise);
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

bool Sleepers::IsAsleep(const RunId& run) const {
  const auto at = by_run_.find(run);
  return at != by_run_.end() && at->second.until != Sleeper::Until::kEnd;
}

absl::Time Sleepers::PromiseTo(const RunId& run) const {
  const auto at = by_run_.find(run);
  if (at == by_run_.end()) return absl::InfiniteFuture();
  return IsPromised(at->second, absl::InfinitePast()) ? at->second.wake : at->second.promise;
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
