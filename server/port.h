// Why a port cannot be had. gRPC does not say.
#pragma once

#include <optional>

#include "server/exit_code.h"
#include "server/listen_address.h"

namespace agentruntime {

// nullopt if the address can be bound now. Asked before the store is opened, so that a second server touches nothing.
std::optional<StartFailure> WhyNotListen(const ListenAddress& address);

}  // namespace agentruntime
