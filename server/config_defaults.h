// What a configuration leaves out.
#pragma once

#include <string>

#include "agentruntime/config/v1/server.pb.h"

namespace agentruntime {

// Sets every field that is not set and has a default, and makes paths absolute, seen from `folder`. What is set stays, right or wrong.
void FillDefaults(const std::string& folder, config::v1::ServerConfig& config);

}  // namespace agentruntime
