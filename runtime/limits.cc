#include "runtime/limits.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/time.h"

namespace agentruntime {
namespace {

void CheckNumber(std::vector<FieldViolation>& violations, absl::string_view field, absl::string_view name, int64_t value, int64_t least, int64_t most) {
  const std::string path = absl::StrCat(field, ".", name);
  if (value < least) violations.push_back({path, absl::StrCat(value, " is below ", least)});
  if (value > most) violations.push_back({path, absl::StrCat(value, " is above this server's maximum of ", most)});
}

void Override(v1::Limits& limits, const v1::Limits& by) {
  limits.MergeFrom(by);
  if (by.has_timeout()) *limits.mutable_timeout() = by.timeout();  // whole: its fields do not merge
}

}  // namespace

absl::Status CheckLimits(const v1::Limits& limits, const v1::Limits& maximum, absl::string_view field) {
  std::vector<FieldViolation> violations;
  if (limits.has_max_steps()) CheckNumber(violations, field, "max_steps", limits.max_steps(), 1, maximum.max_steps());
  if (limits.has_max_tool_calls()) CheckNumber(violations, field, "max_tool_calls", limits.max_tool_calls(), 0, maximum.max_tool_calls());
  if (limits.has_max_tokens()) CheckNumber(violations, field, "max_tokens", limits.max_tokens(), 1, maximum.max_tokens());
  if (limits.has_timeout()) {
    const absl::Duration timeout = FromProto(limits.timeout());
    const absl::Duration most = FromProto(maximum.timeout());
    const std::string path = absl::StrCat(field, ".timeout");
    if (timeout < absl::Milliseconds(1)) violations.push_back({path, absl::StrCat(absl::FormatDuration(timeout), " is below 1ms")});
    if (timeout > most) {
      violations.push_back({path, absl::StrCat(absl::FormatDuration(timeout), " is above this server's maximum of ", absl::FormatDuration(most))});
    }
  }
  return violations.empty() ? absl::OkStatus() : InvalidFields(violations);
}

absl::StatusOr<v1::Limits> EffectiveLimits(const v1::Limits& defaults, const v1::Limits& agent, const v1::Limits& run, const v1::Limits& maximum) {
  RETURN_IF_ERROR(CheckLimits(run, maximum, "run.limits"));
  v1::Limits limits = defaults;
  Override(limits, agent);
  Override(limits, run);
  // An agent may be older than a lowered maximum.
  RETURN_IF_ERROR(CheckLimits(limits, maximum, "agent.limits"));
  return limits;
}

}  // namespace agentruntime
