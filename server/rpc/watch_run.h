// What WatchRun and RunAgent share.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "absl/status/status.h"
#include "runtime/watch.h"
#include "server/rpc/response_stream.h"

namespace agentruntime::rpc {

// Sends what the watch says until it ends, the client is gone (CANCELLED) or the watch fails.
boost::asio::awaitable<absl::Status> Follow(std::unique_ptr<Watch> watch, ResponseStream& stream);

}  // namespace agentruntime::rpc
