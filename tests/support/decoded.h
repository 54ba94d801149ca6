// What a watcher reads out of an encoded message.
#pragma once

#include <optional>
#include <utility>

#include "agentruntime/v1/run_service.pb.h"
#include "runtime/encoded_response.h"

namespace agentruntime::testing {

// Nothing: it is broken.
inline std::optional<v1::WatchRunResponse> Decoded(const EncodedResponse& encoded) {
  std::optional<v1::WatchRunResponse> response(std::in_place);
  if (!response->ParseFromArray(encoded.bytes().data(), static_cast<int>(encoded.size()))) response.reset();
  return response;
}

}  // namespace agentruntime::testing
