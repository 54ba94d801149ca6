// Repeats: a model that goes in circles asks for the same calls and reads the same results, step after step. Pure.
#pragma once

#include "runtime/state.h"

namespace agentruntime {

// Two steps, settled, in which the model asked for the same calls, tools and arguments, in one order, and read the same outcomes and results. How arguments are
// written does not count; what was said beside the calls, ids, attempts and durations do not either.
bool IsSameStep(const StepState& a, const StepState& b);

}  // namespace agentruntime
