// How many runs are unfinished, by state: counted once, at the opening, and then from what each commit changed.
#pragma once

#include <cstdint>

#include "agentruntime/v1/run.pb.h"
#include "storage/sqlite/database.h"

namespace agentruntime::sqlite {

struct RunCounts {
  int64_t queued = 0;
  int64_t running = 0;
  int64_t waiting = 0;

  // Other states are not counted.
  void Add(v1::RunState state, int64_t runs);
};

// Reads the row of each unfinished run. What cannot be read is not counted: it is no reason to serve nothing.
RunCounts CountRuns(Database& database);

}  // namespace agentruntime::sqlite
