#include "server/port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace agentruntime {
namespace {

int TryBind(const ListenAddress& address) {
  const bool is_v6 = address.host.front() == '[';
  const int descriptor = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return errno;
  const int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(static_cast<uint16_t>(address.port));
  inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr);
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port;
  v6.sin6_addr = in6addr_loopback;
  const auto* where = is_v6 ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
  const bool bound = bind(descriptor, where, is_v6 ? sizeof v6 : sizeof v4) == 0 && listen(descriptor, 1) == 0;
  const int error = bound ? 0 : errno;
  close(descriptor);
  return error;
}

}  // namespace

std::optional<StartFailure> WhyNotListen(const ListenAddress& address) {
  const int error = TryBind(address);
  if (error == 0) return std::nullopt;
  if (error == EADDRINUSE) {
    return StartFailure{ExitCode::kInUse,
                        absl::StrCat("another process listens on ", address.ToString(), "; end it, or choose another port with listen.grpc or --listen")};
  }
  return StartFailure{ExitCode::kBadConfig, absl::StrCat("cannot listen on ", address.ToString(), ": ", std::strerror(error))};
}

}  // namespace agentruntime
