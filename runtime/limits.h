// The limits that a run really gets.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/util/errors.h"

namespace agentruntime {

// The server's defaults, under the agent's, under the run's. INVALID_ARGUMENT, with each field below `run.limits` or `agent.limits`, where a value is above
// `maximum`.
absl::StatusOr<v1::Limits> EffectiveLimits(const v1::Limits& defaults, const v1::Limits& agent, const v1::Limits& run, const v1::Limits& maximum);

// Fields that are set in `by` replace those of `limits`, each as a whole.
void Override(v1::Limits& limits, const v1::Limits& by);

// The fields that are set above `maximum`. `field`: what they are called under. Limits are valid by themselves already; about the maximum a request is asked
// only once it is known that it was not granted before.
std::vector<FieldViolation> AboveMaximum(const v1::Limits& limits, const v1::Limits& maximum, absl::string_view field);
// INVALID_ARGUMENT if there are any.
absl::Status CheckMaximum(const v1::Limits& limits, const v1::Limits& maximum, absl::string_view field);

}  // namespace agentruntime
