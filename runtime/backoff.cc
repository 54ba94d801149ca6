#include "runtime/backoff.h"

#include <algorithm>

namespace agentruntime {

absl::Duration BackoffDelay(int attempt, double random01, std::optional<absl::Duration> retry_after) {
  absl::Duration delay = kBackoffBase;
  for (int i = 1; i < attempt && delay < kBackoffMax; ++i) delay *= 2;
  const absl::Duration half = std::min(delay, kBackoffMax) / 2;
  const absl::Duration wish = std::min(retry_after.value_or(absl::ZeroDuration()), kRetryAfterMax);
  return std::max(half, wish) + half * random01;
}

}  // namespace agentruntime
