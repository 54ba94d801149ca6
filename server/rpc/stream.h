// The adapter from gRPC's callback API to coroutines, for calls with many answers.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/rpc/host.h"
#include "server/rpc/response_stream.h"

namespace agentruntime::rpc {

// Makes the coroutine that serves one call; called once, at once. The stream lives until the coroutine has ended.
using StreamBody = absl::AnyInvocable<boost::asio::awaitable<absl::Status>(ResponseStream& stream)>;

// Runs `body` on a strand of `host.pool`; the call ends with its status. The reactor owns itself. Over the bound of open calls it is refused as in unary.h.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartStream(Host& host, StreamBody body);

}  // namespace agentruntime::rpc
