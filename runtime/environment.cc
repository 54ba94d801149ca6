#include "runtime/environment.h"

#include "proto/util/time.h"

namespace agentruntime {
namespace {

v1::Limits Make(int32_t max_steps, int32_t max_tool_calls, int64_t max_tokens, int32_t max_repeats, absl::Duration timeout) {
  v1::Limits limits;
  limits.set_max_steps(max_steps);
  limits.set_max_tool_calls(max_tool_calls);
  limits.set_max_tokens(max_tokens);
  limits.set_max_repeats(max_repeats);
  *limits.mutable_timeout() = ToProto(timeout);
  return limits;
}

}  // namespace

v1::Limits PublishedDefaultLimits() { return Make(kMaxStepsDefault, kMaxToolCallsDefault, kMaxTokensDefault, kMaxRepeatsDefault, kTimeoutDefault); }

v1::Limits PublishedMaximumLimits() {
  v1::Limits limits = Make(kMaxStepsMaximum, kMaxToolCallsMaximum, kMaxTokensMaximum, kMaxRepeatsMaximum, kTimeoutMaximum);
  limits.set_max_cost_micros(kMaxCostMicrosMaximum);
  return limits;
}

}  // namespace agentruntime
