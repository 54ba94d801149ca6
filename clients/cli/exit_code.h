// What agentctl's exit says to a script.
#pragma once

#include "absl/status/status.h"
#include "agentruntime/v1/run.pb.h"

namespace agentruntime::cli {

enum class ExitCode {
  kAnswered = 0,        // FINAL_ANSWER; of commands without a run: done
  kRefused = 1,         // the server said no; or standard output cannot be written
  kUsage = 2,           // the command line or a file is wrong; nothing was sent, or nothing was changed
  kStoppedByLimit = 3,  // MAX_STEPS, MAX_TOOL_CALLS, TIMEOUT, TOKEN_BUDGET, COST_BUDGET, LOOP_DETECTED
  kFailed = 4,          // ERROR
  kCancelled = 5,       // CANCELLED
  kWaiting = 6,         // a person must act first
  kUnreachable = 7,     // no server, or it was lost on the way
  kInterrupted = 130,   // Ctrl-C: the run goes on (128 + SIGINT, as shells have it)
  // 141: nobody reads standard output any more (standard_out.h).
};

// Of a run that stopped or waits; kAnswered for one that is still under way.
ExitCode ExitCodeOf(const v1::Run& run);
// Of an error, which is not OK.
ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace agentruntime::cli
