// When to try again, and how often at most.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace agentruntime::client {

struct RetryPolicy {
  int attempts_max = 5;
  absl::Duration first_delay = absl::Milliseconds(100);  // doubles with each attempt, up to `delay_max`; a server that names a longer pause gets it
  absl::Duration delay_max = absl::Seconds(5);
  absl::Duration server_delay_max = absl::Seconds(30);  // no server makes us wait longer
};

// How long to wait after failure number `failures` (from 1) with `status`, spread by up to a half by `random` in [0, 1); nullopt: no more attempts.
std::optional<absl::Duration> NextDelay(const RetryPolicy& policy, int failures, const absl::Status& status, double random);

}  // namespace agentruntime::client
