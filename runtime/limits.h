// The limits that a run really gets.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agentruntime/v1/run.pb.h"

namespace agentruntime {

// The server's defaults, under the agent's, under the run's. INVALID_ARGUMENT, with each field below `field` (such as `run.limits`), where a value is
// below its least or above `maximum`.
absl::StatusOr<v1::Limits> EffectiveLimits(const v1::Limits& defaults, const v1::Limits& agent, const v1::Limits& run, const v1::Limits& maximum);

// OK if every field that is set is within its least value and `maximum`. `field`: what errors call the message.
absl::Status CheckLimits(const v1::Limits& limits, const v1::Limits& maximum, absl::string_view field);

}  // namespace agentruntime
