#include "runtime/http/address_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "runtime/http/url.h"

namespace agentruntime {
namespace {

struct V4Range {
  uint32_t network;
  int bits;
};

constexpr uint32_t V4(uint32_t a, uint32_t b, uint32_t c, uint32_t d) { return a << 24 | b << 16 | c << 8 | d; }

constexpr V4Range kRefusedV4[] = {
    {V4(0, 0, 0, 0), 8},         // this network
    {V4(10, 0, 0, 0), 8},        // private
    {V4(100, 64, 0, 0), 10},     // shared (CGNAT); holds one provider's metadata address
    {V4(127, 0, 0, 0), 8},       // loopback
    {V4(168, 63, 129, 16), 32},  // one provider's metadata address, from a public range
    {V4(169, 254, 0, 0), 16},    // link-local; holds the usual metadata address
    {V4(172, 16, 0, 0), 12},     // private
    {V4(192, 0, 0, 0), 24},      // protocol assignments
    {V4(192, 0, 2, 0), 24},      // documentation
    {V4(192, 31, 196, 0), 24},   // AS112
    {V4(192, 52, 193, 0), 24},   // AMT
    {V4(192, 88, 99, 0), 24},    // 6to4 relays
    {V4(192, 168, 0, 0), 16},    // private
    {V4(192, 175, 48, 0), 24},   // AS112
    {V4(198, 18, 0, 0), 15},     // benchmarking
    {V4(198, 51, 100, 0), 24},   // documentation
    {V4(203, 0, 113, 0), 24},    // documentation
    {V4(224, 0, 0, 0), 4},       // multicast
    {V4(240, 0, 0, 0), 4},       // reserved, broadcast
};

using V6Bytes = std::array<uint8_t, 16>;

struct V6Range {
  V6Bytes network;
  int bits;
};

// Within 2000::/3, outside of which nothing is public.
constexpr V6Range kRefusedV6[] = {
    {{0x20, 0x01, 0x00}, 23},                    // protocol assignments: Teredo, benchmarking, ORCHID ...
    {{0x20, 0x01, 0x0d, 0xb8}, 32},              // documentation
    {{0x20, 0x02}, 16},                          // 6to4
    {{0x26, 0x20, 0x00, 0x4f, 0x80, 0x00}, 48},  // AS112
    {{0x3f, 0xff, 0x00}, 20},                    // documentation
    {{0x3f, 0xfe}, 16},                          // the old 6bone
};
constexpr V6Range kGlobalUnicast = {{0x20}, 3};
constexpr V6Range kMappedV4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
constexpr V6Range kNat64 = {{0x00, 0x64, 0xff, 0x9b}, 96};

bool Contains(const V6Range& range, const V6Bytes& address) {
  const int whole = range.bits / 8;
  if (std::memcmp(range.network.data(), address.data(), whole) != 0) return false;
  const int rest = range.bits % 8;
  if (rest == 0) return true;
  const int shift = 8 - rest;
  return range.network[whole] >> shift == address[whole] >> shift;
}

bool IsPublicV4(uint32_t address) {
  for (const V4Range& range : kRefusedV4) {
    const uint32_t mask = ~uint32_t{0} << (32 - range.bits);
    if ((address & mask) == range.network) return false;
  }
  return true;
}

bool IsPublicV6(const V6Bytes& address) {
  if (Contains(kMappedV4, address) || Contains(kNat64, address)) return IsPublicV4(V4(address[12], address[13], address[14], address[15]));
  if (!Contains(kGlobalUnicast, address)) return false;
  for (const V6Range& range : kRefusedV6) {
    if (Contains(range, address)) return false;
  }
  return true;
}

}  // namespace

bool IsPublicAddress(const sockaddr* address, socklen_t length) {
  if (address == nullptr) return false;
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof(v4));
    return IsPublicV4(ntohl(v4.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6;
    std::memcpy(&v6, address, sizeof(v6));
    V6Bytes bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return IsPublicV6(bytes);
  }
  return false;
}

std::string AddressText(const sockaddr* address, socklen_t length) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof(v4));
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
  } else if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6;
    std::memcpy(&v6, address, sizeof(v6));
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
  } else {
    return "an address of an unknown family";
  }
  return text;
}

absl::StatusOr<HostAllowList> HostAllowList::Parse(const std::vector<std::string>& entries) {
  HostAllowList list;
  for (const std::string& text : entries) {
    Entry entry;
    entry.text = text;
    absl::string_view rest = text;
    entry.below = absl::ConsumePrefix(&rest, "*.");
    // The URL parser decides what a host is, so that the list and the requests agree.
    const auto url = ParseHttpUrl(absl::StrCat("http://", rest, "/"));
    const bool bare = rest.find_first_of("/?#@*") == absl::string_view::npos;
    if (!url.ok() || !bare || url->host.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("\"", absl::CHexEscape(text), "\" is no host: write host, host:port or *.domain"));
    }
    entry.host = url->host;
    const bool has_port = rest.find(':', rest.find(']') == absl::string_view::npos ? 0 : rest.find(']')) != absl::string_view::npos;
    entry.port = has_port ? url->port : 0;
    list.entries_.push_back(std::move(entry));
  }
  return list;
}

bool HostAllowList::Allows(absl::string_view host, int port) const {
  for (const Entry& entry : entries_) {
    const bool port_fits = entry.port == 0 ? port == 80 || port == 443 : port == entry.port;
    const bool host_fits = entry.below ? absl::EndsWith(host, absl::StrCat(".", entry.host)) : host == entry.host;
    if (port_fits && host_fits) return true;
  }
  return false;
}

std::string HostAllowList::ToString() const {
  return absl::StrJoin(entries_, ", ", [](std::string* out, const Entry& entry) { absl::StrAppend(out, entry.text); });
}

}  // namespace agentruntime
