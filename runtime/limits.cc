#include "runtime/limits.h"

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/time.h"

namespace agentruntime {

void Override(v1::Limits& limits, const v1::Limits& by) {
  limits.MergeFrom(by);
  if (by.has_timeout()) *limits.mutable_timeout() = by.timeout();  // whole: its fields do not merge
}

std::vector<FieldViolation> AboveMaximum(const v1::Limits& limits, const v1::Limits& maximum, absl::string_view field) {
  std::vector<FieldViolation> violations;
  const auto check = [&](absl::string_view name, bool above, const auto& value, const auto& most) {
    if (above) violations.push_back({absl::StrCat(field, ".", name), absl::StrCat(value, " is above this server's maximum of ", most)});
  };
  check("max_steps", limits.max_steps() > maximum.max_steps(), limits.max_steps(), maximum.max_steps());
  check("max_tool_calls", limits.max_tool_calls() > maximum.max_tool_calls(), limits.max_tool_calls(), maximum.max_tool_calls());
  check("max_tokens", limits.max_tokens() > maximum.max_tokens(), limits.max_tokens(), maximum.max_tokens());
  check("max_cost_micros", limits.max_cost_micros() > maximum.max_cost_micros(), limits.max_cost_micros(), maximum.max_cost_micros());
  check("max_repeats", limits.max_repeats() > maximum.max_repeats(), limits.max_repeats(), maximum.max_repeats());
  const absl::Duration timeout = FromProto(limits.timeout());
  const absl::Duration timeout_max = FromProto(maximum.timeout());
  check("timeout", timeout > timeout_max, absl::FormatDuration(timeout), absl::FormatDuration(timeout_max));
  return violations;
}

absl::Status CheckMaximum(const v1::Limits& limits, const v1::Limits& maximum, absl::string_view field) {
  const std::vector<FieldViolation> violations = AboveMaximum(limits, maximum, field);
  return violations.empty() ? absl::OkStatus() : InvalidFields(violations);
}

absl::StatusOr<v1::Limits> EffectiveLimits(const v1::Limits& defaults, const v1::Limits& agent, const v1::Limits& run, const v1::Limits& maximum) {
  RETURN_IF_ERROR(CheckMaximum(run, maximum, "run.limits"));
  v1::Limits limits = defaults;
  Override(limits, agent);
  Override(limits, run);
  // An agent may be older than a lowered maximum.
  RETURN_IF_ERROR(CheckMaximum(limits, maximum, "agent.limits"));
  return limits;
}

}  // namespace agentruntime
