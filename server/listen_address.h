// Where the server may listen: until TLS and authentication exist, on loopback only.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentruntime {

struct ListenAddress {
  std::string host;  // 127.x.y.z or [::1]
  int port = 0;      // 0: any free one

  std::string ToString() const;
};

// `host:port`; localhost is 127.0.0.1. INVALID_ARGUMENT, with the remedy, for anything else: the gRPC of this build must not face strangers
// (it lacks the HTTP/2 fixes of 2023), and whoever reaches the port may do everything.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

}  // namespace agentruntime
