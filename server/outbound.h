// How many requests to other machines may be under way at once, the answers that wait for the disk among them: all models and tools share one client, and
// one limit of open files.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "agentruntime/config/v1/server.pb.h"

namespace agentruntime {

// Of all models and tools together, whatever they ask for.
inline constexpr int64_t kOutboundRequestsMax = 20'000;
// Open files that are left to callers, the store and documents.
inline constexpr int64_t kDescriptorsReserved = 512;

// What the client is to allow: the sum of what models and tools may have under way by themselves, as far as it fits. `descriptors_max`: files that the process
// may open. INVALID_ARGUMENT if not even the largest connections_max fits, because nothing could ever keep it: the message names it and the remedy.
absl::StatusOr<int> OutboundRequests(const config::v1::ServerConfig& config, int64_t descriptors_max);

}  // namespace agentruntime
