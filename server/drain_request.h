// The moment when the server is asked to end, and until when it may take.
#pragma once

#include <algorithm>
#include <optional>

#include "absl/time/time.h"
#include "proto/base/clock.h"
#include "proto/base/mutex.h"

namespace agentruntime {

// Whoever asks for the earliest deadline gets it, whatever was asked before. Deadlines are of the monotonic clock: the other may be set meanwhile. Thread-safe.
class DrainRequest {
 public:
  // A deadline that is sooner by less than this changes nothing: it bounds how often somebody who asks again and again is heard.
  static constexpr absl::Duration kSoonerMin = absl::Milliseconds(100);

  // To have ended `grace` from now.
  void Ask(absl::Duration grace) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    const absl::Duration deadline = SystemClock().Monotonic() + grace;
    deadline_ = deadline_ ? std::min(*deadline_, deadline) : deadline;
    changed_.NotifyAll();
  }
  // There is nothing left to wait for.
  void Finish() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    finished_ = true;
    changed_.NotifyAll();
  }

  // Blocks until Ask; returns the deadline.
  absl::Duration Wait() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    while (!deadline_) changed_.Wait(mu_);
    return *deadline_;
  }
  // After Wait: blocks until a deadline sooner than `known` is asked for, or until Finish: nullopt.
  std::optional<absl::Duration> WaitForSooner(absl::Duration known) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    while (!finished_ && *deadline_ > known - kSoonerMin) changed_.Wait(mu_);
    if (finished_) return std::nullopt;
    return deadline_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::optional<absl::Duration> deadline_ ABSL_GUARDED_BY(mu_);
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace agentruntime
