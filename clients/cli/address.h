// The address of a server, and what is wrong with it.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace agentruntime::cli {

// INVALID_ARGUMENT with a sentence if `address` is not host:port with a port of 1 to 65535; IPv6 as [::1]:7070.
absl::Status CheckAddress(const std::string& address);

// What an address that was checked answers when one connects: that its name is not known, that the connection is refused, or that something listens there
// but does not speak gRPC. Takes at most 2 s for each address that the name stands for. gRPC itself does not say.
std::string WhyNoServer(const std::string& address);

}  // namespace agentruntime::cli
