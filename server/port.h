// The listening socket, and why it cannot be had.
#pragma once

#include <optional>

#include "server/exit_code.h"
#include "server/listen_address.h"

namespace agentruntime {

// A socket that listens, non-blocking; `address` gets the port. -1: errno says why.
int Listen(ListenAddress& address);

// nullopt if the address can be bound now. Asked before the store is opened, so that a second server touches nothing.
std::optional<StartFailure> WhyNotListen(const ListenAddress& address);

}  // namespace agentruntime
