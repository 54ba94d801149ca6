// One run as it is kept: all that is needed to fold its journal, also of a file that no server serves.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "storage/types.h"

namespace agentruntime {

// Errors as Store's.
class RunReader {
 public:
  virtual ~RunReader() = default;

  // One run's columns. NOT_FOUND.
  virtual absl::StatusOr<RunRecord> GetRun(const RunId& run) = 0;

  // Events after `after`, in order. Empty at the end of the journal. NOT_FOUND.
  virtual absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit limit) = 0;
};

}  // namespace agentruntime
