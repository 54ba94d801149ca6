// What WatchRun and RunAgent share.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "absl/status/status.h"
#include "server/rpc/backend.h"
#include "server/rpc/response_stream.h"

namespace agentruntime::rpc {

// Sends the run's messages until it stopped, the client is gone (CANCELLED) or the watch fails.
boost::asio::awaitable<absl::Status> Follow(const Backend& backend, RunId run, Sequence after, bool include_deltas, ResponseStream& stream);

}  // namespace agentruntime::rpc
