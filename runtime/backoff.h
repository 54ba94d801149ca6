// How long to wait before the next attempt.
#pragma once

#include <optional>

#include "absl/time/time.h"

namespace agentruntime {

inline constexpr absl::Duration kBackoffBase = absl::Milliseconds(500);
inline constexpr absl::Duration kBackoffMax = absl::Seconds(30);
inline constexpr absl::Duration kRetryAfterMax = absl::Minutes(5);  // a provider's wish is granted up to here

// The wait after `attempt` (from 1) failed: base * 2^(attempt - 1), at most kBackoffMax, spread over its upper half by `random01` in [0, 1).
// Never less than `retry_after` (up to kRetryAfterMax), and spread behind it too: those who were told the same second must not all come back in it. Pure.
absl::Duration BackoffDelay(int attempt, double random01, std::optional<absl::Duration> retry_after);

}  // namespace agentruntime
