#include "clients/cli/exit_code.h"

#include "clients/cpp/error.h"

namespace agentruntime::cli {

ExitCode ExitCodeOf(const v1::Run& run) {
  if (run.state() == v1::RUN_STATE_WAITING) return ExitCode::kWaiting;
  if (run.state() != v1::RUN_STATE_STOPPED) return ExitCode::kAnswered;
  switch (run.stop().reason()) {
    case v1::STOP_REASON_FINAL_ANSWER: return ExitCode::kAnswered;
    case v1::STOP_REASON_MAX_STEPS:
    case v1::STOP_REASON_MAX_TOOL_CALLS:
    case v1::STOP_REASON_TIMEOUT:
    case v1::STOP_REASON_TOKEN_BUDGET:
    case v1::STOP_REASON_COST_BUDGET:
    case v1::STOP_REASON_LOOP_DETECTED: return ExitCode::kStoppedByLimit;
    case v1::STOP_REASON_CANCELLED: return ExitCode::kCancelled;
    case v1::STOP_REASON_ERROR:
    case v1::STOP_REASON_UNSPECIFIED:
    default: break;  // also a reason of a newer server: not an answer
  }
  return ExitCode::kFailed;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  if (client::IsUnreachable(status)) return ExitCode::kUnreachable;
  return ExitCode::kRefused;
}

}  // namespace agentruntime::cli
