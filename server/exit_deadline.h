// A bound on how long a process takes to end.
#pragma once

#include <thread>

#include "absl/time/time.h"
#include "server/exit_code.h"

namespace agentruntime {

// Of a process that has nothing more to do, or beyond the grace of a drain.
inline constexpr absl::Duration kExitMax = absl::Seconds(15);

// While it lives, the process has `time` to end by itself; then it is ended, with `code`. What still holds it up by then is a tool that ignores its
// cancellation or a disk that does not answer: every run is parked, and the journal needs no farewell.
class ExitDeadline {
 public:
  explicit ExitDeadline(absl::Duration time, ExitCode code = ExitCode::kDrained);

 private:
  std::jthread thread_;
};

}  // namespace agentruntime
