#include "runtime/caller_reads.h"

#include <boost/asio/post.hpp>
#include <optional>

#include "proto/util/errors.h"

namespace agentruntime {

bool CallerReads::HasPlace(Kind kind) const {
  return under_way_ < bounds_.at_once_max && (kind != Kind::kWalk || walks_under_way_ < bounds_.walks_at_once_max);
}

void CallerReads::Count(Kind kind, int64_t change) {
  under_way_ += change;
  if (kind == Kind::kWalk) walks_under_way_ += change;
}

absl::StatusOr<CallerReads::Number> CallerReads::Add(Kind kind, absl::AnyInvocable<void()> run) {
  Job job{kind, std::move(run)};
  Number number = 0;
  {
    MutexLock lock(mu_);
    number = ++last_;
    Waiting& waiting = kind == Kind::kWalk ? walks_ : rows_;
    if (!waiting.empty() || !HasPlace(kind)) {
      if (kind != Kind::kWatcher) {
        if (counted_ >= bounds_.waiting_max) return TooManyAtOnce(bounds_.what, bounds_.waiting_max);
        ++counted_;
      }
      waiting.emplace(number, std::move(job));
      return number;
    }
    Count(kind, 1);
  }
  Begin(std::move(job));
  return number;
}

CallerReads::Job CallerReads::Take(Waiting& waiting, Waiting::iterator at) {
  Job job = std::move(waiting.extract(at).mapped());
  if (job.kind != Kind::kWatcher) --counted_;
  return job;
}

bool CallerReads::Remove(Number number) {
  std::optional<Job> removed;  // destroyed without the mutex: it holds what the caller gave
  MutexLock lock(mu_);
  for (Waiting* waiting : {&rows_, &walks_}) {
    const auto at = waiting->find(number);
    if (at == waiting->end()) continue;
    removed = Take(*waiting, at);
    return true;
  }
  return false;
}

void CallerReads::Begin(Job job) {
  boost::asio::post(pool_, [self = shared_from_this(), job = std::move(job)]() mutable {
    job.run();
    job.run = nullptr;
    self->Ended(job.kind);
  });
}

void CallerReads::Ended(Kind kind) {
  std::optional<Job> next;
  {
    MutexLock lock(mu_);
    Count(kind, -1);
    // The one that came first, of those that may begin.
    Waiting* from = rows_.empty() ? nullptr : &rows_;
    if (!walks_.empty() && HasPlace(Kind::kWalk) && (from == nullptr || walks_.begin()->first < rows_.begin()->first)) from = &walks_;
    if (from == nullptr) return;
    next = Take(*from, from->begin());
    Count(next->kind, 1);
  }
  Begin(*std::move(next));
}

int64_t CallerReads::under_way() {
  MutexLock lock(mu_);
  return under_way_;
}

int64_t CallerReads::waiting() {
  MutexLock lock(mu_);
  return static_cast<int64_t>(rows_.size() + walks_.size());
}

}  // namespace agentruntime
