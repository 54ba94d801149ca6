// How a person reaches this program and its server again, for the commands that it advises.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime::cli {

// `called`, the program as it was called, as a word of a shell; with `--server` where the server is neither the default one nor the one that
// AGENTRUNTIME_SERVER names, `from_environment`, which may be empty.
std::string ProgramText(absl::string_view called, absl::string_view server, absl::string_view from_environment);

}  // namespace agentruntime::cli
