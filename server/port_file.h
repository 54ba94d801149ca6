// --port-file: tells whoever started agentd where it serves.
#pragma once

#include <optional>
#include <string>

#include "server/exit_code.h"

namespace agentruntime {

// nullopt if `path` can be written now, or is empty: none is wanted. Asked before anything is opened; leaves nothing behind.
std::optional<StartFailure> WhyNoPortFile(const std::string& path);
// Writes `address` and a line end, whole or not at all: a reader never sees half an address. Nothing if `path` is empty.
std::optional<StartFailure> WritePortFile(const std::string& path, const std::string& address);

}  // namespace agentruntime
