// Where an outbound request may go.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentruntime {

// Whether `address` is one that belongs to the public internet. False for private, loopback, link-local, shared (CGNAT), multicast, documentation,
// benchmarking and reserved ranges, for the providers' metadata addresses, and for whatever is neither IPv4 nor IPv6. IPv4 inside of IPv6 (mapped, NAT64) is
// judged by the embedded address; 6to4, Teredo and IPv4-compatible addresses are refused. Pure.
// Source: the IANA special-purpose address registries (RFC 6890 and its successors).
bool IsPublicAddress(const sockaddr* address, socklen_t length);

// The address as people write it, for messages: `169.254.169.254`, `fe80::1`.
std::string AddressText(const sockaddr* address, socklen_t length);

// Which hosts may be asked. An entry is `host` (ports 80 and 443), `host:port`, or either with `*.` in front for every name below it. An IPv6 address
// stands in brackets. Immutable, thread-safe.
class HostAllowList {
 public:
  // INVALID_ARGUMENT names the entry that is none.
  static absl::StatusOr<HostAllowList> Parse(const std::vector<std::string>& entries);

  // `host` as HttpUrl has it: lower case, without brackets and trailing dot.
  bool Allows(absl::string_view host, int port) const;
  // For messages: `a.example, *.b.example:8443`.
  std::string ToString() const;

 private:
  struct Entry {
    std::string host;
    bool below = false;  // names below `host`, not itself
    int port = 0;        // 0: 80 and 443
    std::string text;
  };
  std::vector<Entry> entries_;
};

}  // namespace agentruntime
