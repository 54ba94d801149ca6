// Runs out of the store. Everything here blocks: call it on the blocking pool.
#pragma once

#include "absl/status/statusor.h"
#include "agentruntime/v1/run.pb.h"
#include "runtime/state.h"
#include "storage/store.h"

namespace agentruntime {

// The state: the fold of the whole journal. NOT_FOUND (RunNotFound); DATA_LOSS (RunDamaged) where the journal has a gap or does not agree with its
// projection.
absl::StatusOr<RunState> LoadState(RunReader& store, const RunId& run);

// The run as callers see it, without folding: columns, event 1 and the event that holds the answer. NOT_FOUND, DATA_LOSS.
absl::StatusOr<v1::Run> LoadRun(Store& store, const RunId& run);

}  // namespace agentruntime
