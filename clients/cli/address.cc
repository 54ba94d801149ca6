#include "clients/cli/address.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace agentruntime::cli {
namespace {

constexpr int kAttemptMs = 2000;
constexpr char kForm[] = "give host:port, such as 127.0.0.1:7070 or [::1]:7070";

bool IsHost(absl::string_view host) {
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  const auto fits = [bracketed](char c) {
    return bracketed ? absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.'
                     : absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
  };
  return !host.empty() && std::all_of(host.begin(), host.end(), fits);
}

// 0 if somebody accepts the connection, else errno.
int TryConnect(const addrinfo& to) {
  const int descriptor = socket(to.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return errno;
  int error = connect(descriptor, to.ai_addr, to.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd waiting = {descriptor, POLLOUT, 0};
    socklen_t size = sizeof error;
    if (poll(&waiting, 1, kAttemptMs) <= 0) {
      error = ETIMEDOUT;
    } else if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
      error = errno;
    }
  }
  close(descriptor);
  return error;
}

}  // namespace

absl::Status CheckAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (address.empty()) return absl::InvalidArgumentError(absl::StrCat("the server's address is empty; ", kForm));
  if (colon == std::string::npos || !IsHost(address.substr(0, colon))) {
    return absl::InvalidArgumentError(absl::StrCat("\"", address, "\" is no server's address; ", kForm));
  }
  const std::string port = address.substr(colon + 1);
  int number = 0;
  const bool digits = std::all_of(port.begin(), port.end(), [](unsigned char c) { return absl::ascii_isdigit(c); });
  if (!digits || !absl::SimpleAtoi(port, &number) || number < 1 || number > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("\"", address, "\": \"", port, "\" is no port, which is 1 to 65535; ", kForm));
  }
  return absl::OkStatus();
}

std::string WhyNoServer(const std::string& address) {
  const size_t colon = address.rfind(':');
  absl::string_view host = absl::string_view(address).substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int unknown = getaddrinfo(std::string(host).c_str(), address.c_str() + colon + 1, &hints, &found);
  if (unknown != 0) return absl::StrCat("the name \"", host, "\" leads to no address: ", gai_strerror(unknown));
  int error = 0;
  for (const addrinfo* to = found; to != nullptr; to = to->ai_next) {
    error = TryConnect(*to);
    if (error == 0) break;
  }
  freeaddrinfo(found);
  if (error == ECONNREFUSED) return "the connection was refused: nothing listens there";
  if (error != 0) return absl::StrCat("the connection failed: ", std::strerror(error));
  return "something listens there, but it does not speak gRPC, or it came up just now";
}

}  // namespace agentruntime::cli
