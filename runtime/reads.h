// What callers read of runs, page by page. Everything here blocks: call it through CallerReads. What may take long looks at `stop` between two reads of the
// store, and ends with CANCELLED once it is asked to.
#pragma once

#include <stop_token>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "agentruntime/v1/run.pb.h"
#include "storage/store.h"

namespace agentruntime {

// Behind a step: its number, and its last event if that is known, so that the events before need not be read again.
struct StepCursor {
  int32_t number = 0;
  Sequence last_sequence = 0;
};

// Without input, limits and answer; the bool says whether there may be more. As Store::ListRuns.
absl::StatusOr<std::pair<std::vector<v1::Run>, bool>> ReadRuns(Store& store, const RunQuery& query, const std::stop_token& stop);

// NOT_FOUND; OUT_OF_RANGE (SequenceBeyondEnd).
absl::StatusOr<std::vector<EventPtr>> ReadEvents(Store& store, const RunId& run, Sequence after, ReadLimit limit);

// Steps after `after`, folded from the journal; the bool says whether there are more. NOT_FOUND.
absl::StatusOr<std::pair<std::vector<v1::Step>, bool>> ReadSteps(Store& store, const RunId& run, StepCursor after, ReadLimit limit,
                                                                 const std::stop_token& stop);

}  // namespace agentruntime
