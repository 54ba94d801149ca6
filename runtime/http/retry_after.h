// When a server wants to be asked again.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace agentruntime {

// Value of a Retry-After header (RFC 9110, 10.2.3): seconds, or a date in one of HTTP's three forms. Never negative; nullopt if it is neither.
std::optional<absl::Duration> ParseRetryAfter(absl::string_view value, absl::Time now);

}  // namespace agentruntime
