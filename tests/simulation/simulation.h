// One seed from its beginning to its verdict.
#pragma once

#include <cstdint>
#include <string>

#include "tests/simulation/judge.h"

namespace agentruntime::simulation {

struct Verdict {
  uint64_t seed = 0;
  uint64_t hash = 0;    // of the trace: the same for the same seed
  std::string failure;  // "": every promise held
  std::string trace;    // its last lines, if one did not
  Counts counts;
};

// `print`: each line of the trace as it happens.
Verdict Simulate(uint64_t seed, bool print);

}  // namespace agentruntime::simulation
