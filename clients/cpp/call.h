// How every unary call is made. Private to the library.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <chrono>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/channel.h"
#include "clients/cpp/error.h"

namespace agentruntime::client {

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*), const Request& request,
                              absl::Duration timeout = kRpcTimeoutDefault) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  Response response;
  if (const grpc::Status status = (stub.*method)(&context, request, &response); !status.ok()) return FromGrpc(status);
  return response;
}

}  // namespace agentruntime::client
