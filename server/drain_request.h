// The moment when the server is asked to end.
#pragma once

#include <optional>

#include "absl/time/time.h"
#include "proto/base/mutex.h"

namespace agentruntime {

// Thread-safe.
class DrainRequest {
 public:
  // The first one counts.
  void Ask(absl::Duration grace) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (!grace_) grace_ = grace;
    asked_.NotifyAll();
  }
  // Blocks until Ask; returns its grace.
  absl::Duration Wait() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    while (!grace_) asked_.Wait(mu_);
    return *grace_;
  }

 private:
  Mutex mu_;
  CondVar asked_;
  std::optional<absl::Duration> grace_ ABSL_GUARDED_BY(mu_);
};

}  // namespace agentruntime
