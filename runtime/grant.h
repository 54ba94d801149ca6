// Calls that another run answers: which run that is, what it may use of what its parent has, and what is booked of it. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "runtime/children.h"
#include "runtime/plan.h"
#include "runtime/state.h"

namespace agentruntime {

// What the open calls of `step` hold: with what is booked it is within the budgets.
v1::Usage OpenGrants(const StepState& step);

// The `child` of the first `call_started` of `call`, but for its run: an equal share of what the run has left of tokens, and of money where it has a budget of
// it, for each call of the step that is still to be granted one and for the run itself, up to the tool's own limits. Or why there is none, for the model.
struct Granted {
  std::optional<v1::Child> child;
  std::string refusal;
};
Granted GrantOf(const RunState& state, const RunPlan& plan, const StepState& step, const ToolSpec& spec);

// The id of the run that answers a call: the time of its first `call_started`, then 74 bits of its idempotency key.
RunId ChildRunId(absl::Time started, absl::string_view idempotency_key);
// Gives the child of a `call_started`, if it has one without a name, its name. `time`: of the event.
void NameChild(v1::CallStarted& started, absl::Time time);

// The run that answers `call`, which has a child.
RunId ChildOf(const CallState& call);

// What is booked for a child that nobody knows the usage of: its whole grant.
v1::Usage GrantedUsage(const CallState& call);
// What the run that answers the open attempt of `call` begins with.
std::shared_ptr<const ChildOrder> OrderOf(const RunState& state, const CallState& call, const ToolSpec& spec);

// The same for a call that is to begin no run any more.
std::shared_ptr<const ChildOrder> OnlyIfBegun(const ChildOrder& order);

}  // namespace agentruntime
