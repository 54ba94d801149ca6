// Counts what happens on other threads, and lets a test wait for it.
#pragma once

#include "absl/time/clock.h"
#include "proto/base/mutex.h"

namespace agentruntime::testing {

// Thread-safe.
class Counter {
 public:
  void Add() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    ++value_;
    changed_.NotifyAll();
  }
  void Reset() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    value_ = 0;
  }
  int value() const ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return value_;
  }
  // Until it has happened so often. False: a minute passed before, or `most`.
  [[nodiscard]] bool Await(int count, absl::Duration most = absl::Minutes(1)) ABSL_LOCKS_EXCLUDED(mu_) {
    const absl::Time until = absl::Now() + most;
    MutexLock lock(mu_);
    while (value_ < count && absl::Now() < until) changed_.WaitFor(mu_, until - absl::Now());
    return value_ >= count;
  }

 private:
  mutable Mutex mu_;
  CondVar changed_;
  int value_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace agentruntime::testing
