#include "server/port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace agentruntime {
namespace {

bool BindAndListen(int descriptor, ListenAddress& address) {
  const bool is_v6 = address.host.front() == '[';
  const int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // connections inherit it
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(static_cast<uint16_t>(address.port));
  inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr);
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port;
  v6.sin6_addr = in6addr_loopback;
  auto* where = is_v6 ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
  socklen_t bytes = is_v6 ? sizeof v6 : sizeof v4;
  if (bind(descriptor, where, bytes) != 0 || listen(descriptor, SOMAXCONN) != 0 || getsockname(descriptor, where, &bytes) != 0) return false;
  address.port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
  return true;
}

}  // namespace

int Listen(ListenAddress& address) {
  const int descriptor = socket(address.host.front() == '[' ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0 || BindAndListen(descriptor, address)) return descriptor;
  const int error = errno;
  close(descriptor);
  errno = error;
  return -1;
}

std::optional<StartFailure> WhyNotListen(const ListenAddress& address) {
  ListenAddress tried = address;
  const int descriptor = Listen(tried);
  if (descriptor >= 0) {
    close(descriptor);
    return std::nullopt;
  }
  const int error = errno;
  if (error == EADDRINUSE) {
    return StartFailure{ExitCode::kInUse,
                        absl::StrCat("another process listens on ", address.ToString(), "; end it, or choose another port with listen.grpc or --listen")};
  }
  return StartFailure{ExitCode::kBadConfig, absl::StrCat("cannot listen on ", address.ToString(), ": ", std::strerror(error))};
}

}  // namespace agentruntime
