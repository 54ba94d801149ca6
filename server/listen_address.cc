#include "server/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace agentruntime {
namespace {

constexpr int kPortMax = 65535;

absl::Status NotAnAddress(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not host:port; write it like 127.0.0.1:7070"));
}

bool IsLoopback(const std::string& host) {
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  return host == "[::1]";
}

}  // namespace

std::string ListenAddress::ToString() const { return absl::StrCat(host, ":", port); }

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return NotAnAddress(text);
  const absl::string_view digits = text.substr(colon + 1);
  ListenAddress address;
  address.host = absl::AsciiStrToLower(text.substr(0, colon));
  const bool is_number = !digits.empty() && digits.find_first_not_of("0123456789") == absl::string_view::npos;
  if (!is_number || !absl::SimpleAtoi(digits, &address.port) || address.port > kPortMax) return NotAnAddress(text);
  if (address.host == "localhost") address.host = "127.0.0.1";
  if (!IsLoopback(address.host)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text,
                                                   "\" is not a loopback address. TLS and authentication do not exist yet, so whoever reached it could do ",
                                                   "everything; use 127.0.0.1:", address.port, ", and from elsewhere an ssh tunnel of your own"));
  }
  return address;
}

}  // namespace agentruntime
