// Calls in bytes: for services without generated code, and for bytes that no generated code would send.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace agentruntime::testing {

// One request, one response, as bytes. Works for a stream of one, too: the first response is taken.
absl::StatusOr<std::string> RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method, const std::string& request);

}  // namespace agentruntime::testing
