// Callers that submit the example run one after the other, each waiting for its answer.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace agentruntime::bench {

enum class Mode {
  kWatch,   // RunAgent: every event comes to the caller
  kWait,    // CreateRun, then GetRun with wait
  kCreate,  // CreateRun alone: a unary call
};

struct LoadResult {
  absl::Duration elapsed;
  std::vector<double> milliseconds;  // of each run that gave its final answer (kCreate: that was accepted)
  int64_t failed = 0;                // runs that ended otherwise, and calls that were refused
  std::string first_error;

  double per_second() const { return static_cast<double>(milliseconds.size()) / absl::ToDoubleSeconds(elapsed); }
};

inline constexpr char kExampleInput[] = "What is six times seven?";

// `callers` callers for `duration`; each has one run under way. Ends the process where a run fails.
LoadResult RunLoad(const std::string& address, Mode mode, int callers, absl::Duration duration);

}  // namespace agentruntime::bench
