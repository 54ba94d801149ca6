// The adapter from gRPC's callback API to coroutines, for calls with one answer.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <boost/asio/awaitable.hpp>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/base/status.h"
#include "server/rpc/codec.h"
#include "server/rpc/host.h"
#include "server/rpc/status.h"

namespace agentruntime::rpc {

// What happens to the coroutine when the caller leaves or its deadline passes.
enum class OnLeave {
  kGoOn,   // a write is finished; nobody hears of it
  kCancel  // a wait ends: the coroutine's cancellation slot fires
};

// Runs `body` on a strand of `host.pool`, and puts its answer into `response`, which gRPC owns. The reactor owns itself. Over the bound of open calls
// (host.h) the call ends with RESOURCE_EXHAUSTED (TooManyAtOnce), and `body` never begins; without room for the answer to a read (answer_room.h) it ends so,
// too.
grpc::ServerUnaryReactor* StartUnary(Host& host, grpc::ByteBuffer* response, OnLeave on_leave, boost::asio::awaitable<absl::StatusOr<grpc::ByteBuffer>> body);

// What a request is about, for the log.
template <typename Request>
std::string SubjectOf(const Request& request) {
  if constexpr (requires { request.name(); }) return request.name();
  if constexpr (requires { request.parent(); }) return request.parent();
  return "";
}

// Decodes the request, calls `handler(Request) -> awaitable<StatusOr<Response>>`, encodes the answer. `method` is a literal. The bytes are gone before the
// handler begins, which may wait for long.
template <typename Request, typename Handler>
boost::asio::awaitable<absl::StatusOr<grpc::ByteBuffer>> Serve(absl::string_view method, grpc::ByteBuffer bytes, Handler handler) {
  Request request;
  CO_RETURN_IF_ERROR(Decode(bytes, request));
  bytes.Clear();
  const std::string subject = SubjectOf(request);
  auto response = co_await handler(std::move(request));
  if (!response.ok()) co_return ForCaller(std::move(response).status(), method, subject);
  co_return Encode(*response);
}

}  // namespace agentruntime::rpc
