// Act: the intent of a tool call, and the fact that its outcome becomes. Pure; the session starts the attempts.
#pragma once

#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "runtime/plan.h"
#include "runtime/result.h"
#include "runtime/state.h"
#include "runtime/tools/tool.h"

namespace agentruntime {

// `call_started` of the next attempt, or `call_waiting` where a person's word comes first, or `call_finished`: with an error if the tool is not configured on
// this server any more, DENIED if the run is a fork whose calls may have no side effects and the tool is not READ_ONLY, NOT_RUN if another run was to answer it
// and there is no room for one (grant.h).
v1::Event StartOfCall(const RunState& state, const RunPlan& plan, const StepState& step, const CallState& call, absl::Time now);

// Why the model's arguments cannot be sent to the tool, as `call_finished`; nullopt if they can.
std::optional<v1::Event> RefusalOfCall(const RunPlan& plan, const CallId& id, const v1::ToolCall& call);

// `call_finished` of a call that is never started.
v1::Event NotRun(const CallId& id, std::string text);

// The request of the open attempt of `call`.
ToolRequest BuildToolRequest(const RunState& state, const RunPlan& plan, const StepState& step, const CallState& call);

// How an attempt ended.
struct CallEnd {
  ToolOutcome outcome;
  bool timed_out = false;
  absl::Duration duration;
  std::vector<LargePart> large = {};  // of a ToolDone: parts that are artifacts without a name
};

// `call_finished`, or `call_failed` if it is tried again (repeatable, or certainly without effect) or if nobody knows (UNSAFE).
// A result is taken as it is: within its bounds, its artifacts named. `random` in [0, 1) spreads retries.
v1::Event FactOfOutcome(const CallState& call, const ToolSpec& spec, CallEnd end, absl::Time now, double random);

}  // namespace agentruntime
