// Decide: the facts that one attempt of the model becomes. Pure; the session starts the attempts.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "runtime/models/model.h"
#include "runtime/plan.h"
#include "runtime/state.h"

namespace agentruntime {

// `decision_made` and, in the same append, `call_finished` of each call that cannot be sent (no such tool, arguments that do not fit the schema);
// or `context_compacted`, of a summary; or `model_failed`. The decision is made fit for the journal: calls numbered, bounds checked, a finish reason that
// agrees with the calls. `random` in [0, 1) spreads retries.
std::vector<v1::Event> FactsOfOutcome(const RunState& state, const RunPlan& plan, ModelOutcome outcome, absl::Duration duration, absl::Time now, double random);

}  // namespace agentruntime
