#include <gtest/gtest.h>

#include "clients/cli/exit_code.h"
#include "proto/util/errors.h"

namespace agentruntime::cli {
namespace {

v1::Run Stopped(v1::StopReason reason) {
  v1::Run run;
  run.set_state(v1::RUN_STATE_STOPPED);
  run.mutable_stop()->set_reason(reason);
  return run;
}

TEST(ExitCodeTest, SaysHowARunStopped) {
  EXPECT_EQ(ExitCodeOf(Stopped(v1::STOP_REASON_FINAL_ANSWER)), ExitCode::kAnswered);
  EXPECT_EQ(ExitCodeOf(Stopped(v1::STOP_REASON_MAX_STEPS)), ExitCode::kStoppedByLimit);
  EXPECT_EQ(ExitCodeOf(Stopped(v1::STOP_REASON_MAX_TOOL_CALLS)), ExitCode::kStoppedByLimit);
  EXPECT_EQ(ExitCodeOf(Stopped(v1::STOP_REASON_TIMEOUT)), ExitCode::kStoppedByLimit);
  EXPECT_EQ(ExitCodeOf(Stopped(v1::STOP_REASON_TOKEN_BUDGET)), ExitCode::kStoppedByLimit);
  EXPECT_EQ(ExitCodeOf(Stopped(v1::STOP_REASON_COST_BUDGET)), ExitCode::kStoppedByLimit);
  EXPECT_EQ(ExitCodeOf(Stopped(v1::STOP_REASON_LOOP_DETECTED)), ExitCode::kStoppedByLimit);
  EXPECT_EQ(ExitCodeOf(Stopped(v1::STOP_REASON_ERROR)), ExitCode::kFailed);
  EXPECT_EQ(ExitCodeOf(Stopped(v1::STOP_REASON_CANCELLED)), ExitCode::kCancelled);
  EXPECT_EQ(ExitCodeOf(Stopped(static_cast<v1::StopReason>(99))), ExitCode::kFailed);
  v1::Run waiting;
  waiting.set_state(v1::RUN_STATE_WAITING);
  EXPECT_EQ(ExitCodeOf(waiting), ExitCode::kWaiting);
}

TEST(ExitCodeTest, TellsARefusalFromASilence) {
  EXPECT_EQ(ExitCodeOf(InvalidField("run.input", "give one")), ExitCode::kRefused);
  EXPECT_EQ(ExitCodeOf(StoreUnavailable("disk full")), ExitCode::kRefused);  // the server answered
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("connection refused")), ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeOf(absl::DataLossError("a gap")), ExitCode::kRefused);
}

}  // namespace
}  // namespace agentruntime::cli
