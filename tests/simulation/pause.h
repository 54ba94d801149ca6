// Waiting, as models and tools of a simulation do.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "absl/time/time.h"
#include "tests/simulation/loop.h"

namespace agentruntime::simulation {

// Ends early when the coroutine is cancelled, unless it is deaf.
boost::asio::awaitable<void> Pause(Loop& loop, absl::Duration delay, bool deaf);

}  // namespace agentruntime::simulation
