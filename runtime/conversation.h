// Conversations: what a run reads of the runs before it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agentruntime/v1/event.pb.h"
#include "runtime/plan.h"
#include "storage/store.h"

namespace agentruntime {

using RunNames = google::protobuf::RepeatedPtrField<std::string>;

struct EarlierRuns {
  // What a new run of the conversation reads, oldest first: its newest runs, kConversationRunsMax at most, as many as hold kConversationBytesMax of input and
  // answer together, but at least one.
  RunNames names;
  std::vector<RunId> seen;      // NewRun::conversation_seen
  std::optional<RunId> active;  // the one that has not stopped, if its row can be read; then `names` are not all
};
// Blocks.
absl::StatusOr<EarlierRuns> FindEarlierRuns(Store& store, const std::string& tenant, const std::string& conversation);

// `plan` with what these runs asked and answered. Always the same, but for runs deleted or damaged since, which are left out: a stopped run that has a later
// one in its conversation never changes. Blocks, if there are any.
absl::StatusOr<std::shared_ptr<const RunPlan>> WithEarlierRuns(Store& store, std::shared_ptr<const RunPlan> plan, const RunNames& names);

// The last run of the conversation that `run` is of, if that is another one: `run` cannot be resumed then. Blocks.
absl::StatusOr<std::optional<RunId>> LaterRun(Store& store, const RunId& run);

}  // namespace agentruntime
