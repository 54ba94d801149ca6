// Where a streaming handler writes. Knows nothing of gRPC.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "absl/functional/any_invocable.h"
#include "runtime/watch.h"

namespace agentruntime::rpc {

// Used by the one coroutine that serves the call, on its strand.
class ResponseStream {
 public:
  virtual ~ResponseStream() = default;
  // True when the message was handed on and the next may come: a few are on their way at a time, so a slow client holds few. False: the client is gone.
  virtual boost::asio::awaitable<bool> Write(EncodedResponse message) = 0;
  // Calls `cancel` on the strand once the client is gone; at once if it is. A later call replaces it; pass {} before what it refers to ends.
  virtual void OnCancel(absl::AnyInvocable<void()> cancel) = 0;
};

}  // namespace agentruntime::rpc
