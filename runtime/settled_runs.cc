#include "runtime/settled_runs.h"

namespace agentruntime {

void SettledRuns::Keep(const RunId& run, std::shared_ptr<const v1::Run> settled) {
  if (settled->ByteSizeLong() > kSettledRunBytesMax) return Drop(run);
  std::shared_ptr<const v1::Run> replaced, evicted;  // freed behind the lock
  MutexLock lock(mu_);
  if (deletes_.contains(run)) return;
  Kept& kept = kept_[run];
  kept.number = ++last_number_;
  replaced = std::exchange(kept.run, std::move(settled));
  order_.emplace_back(last_number_, run);
  if (order_.size() <= kSettledRunsMax) return;
  const auto [number, oldest] = order_.front();
  order_.pop_front();
  const auto at = kept_.find(oldest);
  if (at == kept_.end() || at->second.number != number) return;  // dropped, or kept again since
  evicted = std::move(at->second.run);
  kept_.erase(at);
}

void SettledRuns::Drop(const RunId& run) {
  std::shared_ptr<const v1::Run> dropped;  // freed behind the lock
  MutexLock lock(mu_);
  const auto at = kept_.find(run);
  if (at == kept_.end()) return;
  dropped = std::move(at->second.run);
  kept_.erase(at);
}

void SettledRuns::BeginDelete(const RunId& run) {
  {
    MutexLock lock(mu_);
    ++deletes_[run];
  }
  Drop(run);
}

void SettledRuns::EndDelete(const RunId& run) {
  MutexLock lock(mu_);
  const auto at = deletes_.find(run);
  if (--at->second == 0) deletes_.erase(at);
}

std::shared_ptr<const v1::Run> SettledRuns::Find(const RunId& run) {
  MutexLock lock(mu_);
  const auto at = kept_.find(run);
  return at == kept_.end() ? nullptr : at->second.run;
}

}  // namespace agentruntime
