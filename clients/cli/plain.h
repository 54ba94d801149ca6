// The lines that both the plain and the live view print for good.
#pragma once

#include <string>

#include "agentruntime/v1/run.pb.h"
#include "clients/cli/output.h"

namespace agentruntime::cli {

// What the run was asked, and its name.
std::string FormatHeader(const Output& output, const v1::Run& run);
// `answer`, printable, indented; why the run stopped, what it used, and how to go on.
std::string FormatStop(const Output& output, const v1::Run& run, const std::string& answer);

}  // namespace agentruntime::cli
