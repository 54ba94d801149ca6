#include "clients/cpp/retry.h"

#include <algorithm>

#include "clients/cpp/error.h"

namespace agentruntime::client {

std::optional<absl::Duration> NextDelay(const RetryPolicy& policy, int failures, const absl::Status& status, double random) {
  if (failures >= policy.attempts_max) return std::nullopt;
  absl::Duration delay = policy.first_delay;
  for (int i = 1; i < failures && delay < policy.delay_max; ++i) delay *= 2;
  delay = std::min(delay, policy.delay_max);
  const absl::Duration wished = std::min(DetailsOf(status).retry_delay.value_or(absl::ZeroDuration()), policy.server_delay_max);
  return std::max(delay, wished) * (1 + random / 2);
}

}  // namespace agentruntime::client
