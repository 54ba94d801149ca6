// Where a fork begins: the shared half of its journal, and the event behind it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "runtime/caller.h"
#include "runtime/state.h"
#include "storage/store.h"

namespace agentruntime {

struct ForkRequest {
  RunId source;
  int32_t step = 0;
  std::string agent;  // "": the source's
  v1::Limits limits;  // unset fields are the source's
  std::vector<v1::Part> input;
  std::map<std::string, std::string> labels;
  bool allow_side_effects = false;
  std::optional<absl::Time> deadline;
  std::string request_id;
  std::string request_hash;
};

// What a fork takes over.
struct ForkBase {
  RunState state;     // the source's as it was at the end of the step
  std::string agent;  // the source's revision
  v1::Limits limits;  // the source's as they are now
};

// Reads durable events only, so the source may be at work. Blocks. NOT_FOUND: no such run, or no such step of it yet (StepNotFound); FAILED_PRECONDITION:
// StepNotOver, ForkTooDeep; INVALID_ARGUMENT: the step is an answer, and the request has no input to go on with. RESOURCE_EXHAUSTED:
// NoRoomToFork. DATA_LOSS.
absl::StatusOr<ForkBase> LoadForkBase(Store& store, const ForkRequest& request);

// `run_forked`, complete, for `base.state`. `agent` is the revision that was resolved, `limits` are effective.
v1::Event ForkedEvent(const ForkBase& base, ForkRequest request, std::string agent, v1::Limits limits, const Caller& caller, absl::Time now, Epoch epoch);

}  // namespace agentruntime
