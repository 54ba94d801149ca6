#include "runtime/sleepers.h"

#include <algorithm>

#include "runtime/backoff.h"

namespace agentruntime {

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
    due = others_.empty() || (!retries_.empty() && *retries_.begin() < *others_.begin()) ? retries_.begin()->second : others_.begin()->second;
  } else if (!retries_.empty() && IsRetryDue(retries_.rbegin()->first, now)) {
    due = retries_.rbegin()->second;
  }
  if (!due) return std::nullopt;
  const std::pair<RunId, Sleeper> taken(*due, by_run_.at(*due));
  Remove(*due);
  return taken;
}

absl::Time Sleepers::first() const {
  absl::Time first = absl::InfiniteFuture();
  if (!retries_.empty()) first = retries_.begin()->first;
  if (!others_.empty()) first = std::min(first, others_.begin()->first);
  return first;
}

}  // namespace agentruntime
