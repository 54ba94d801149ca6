// Callers that submit the example run one after the other, each waiting for its answer.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace agentruntime::bench {

enum class Mode {
  kWatch,  // RunAgent: every event comes to the caller
  kWait,   // CreateRun, then GetRun with wait
};

struct LoadResult {
  absl::Duration elapsed;
  std::vector<absl::Duration> latencies;  // of runs that gave their final answer
  int64_t failed = 0;                     // runs that ended otherwise, and calls that were refused
  std::string first_error;
};

// `callers` callers for `duration`; each has one run under way.
LoadResult RunLoad(const std::string& address, Mode mode, int callers, absl::Duration duration);

}  // namespace agentruntime::bench
