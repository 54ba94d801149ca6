// The lines that both the plain and the live view print for good.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agentruntime/v1/run.pb.h"
#include "clients/cli/output.h"

namespace agentruntime::cli {

// What the run was asked, and its name.
std::string FormatHeader(const Output& output, const v1::Run& run);
// That the connection was lost, why, and for how long it is tried again.
std::string LostText(const absl::Status& why, absl::Duration time_left);
// `answer`, printable, indented; why the run stopped, what it used, and how to go on.
std::string FormatStop(const Output& output, const v1::Run& run, const std::string& answer);

}  // namespace agentruntime::cli
