// Who calls.
#pragma once

#include <grpcpp/server_context.h>

#include "runtime/runtime.h"

namespace agentruntime::rpc {

// Everybody on loopback is "local". A `traceparent` that is not W3C trace context is ignored.
Caller CallerOf(const grpc::CallbackServerContext& context);

}  // namespace agentruntime::rpc
