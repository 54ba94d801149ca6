#include "server/acceptor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "proto/base/log.h"
#include "server/line_limit.h"
#include "server/port.h"

namespace agentruntime {
namespace {

constexpr absl::Duration kRetry = absl::Milliseconds(100);  // where the system has no descriptor or no memory for a connection
constexpr int kLinesPerSecondMax = 1;

int64_t Kept(int64_t descriptors_max) { return std::min(kDescriptorsKept, descriptors_max / 4); }

// The system gives each file the lowest number that is free: a connection with a high one tells that all below it are taken.
int ConnectionsEnd(int64_t descriptors_max) { return static_cast<int>(descriptors_max - Kept(descriptors_max)); }

void Warn(LineLimit& limit, absl::string_view why) {
  const std::optional<int64_t> left_out = limit.Admit();
  if (!left_out) return;
  Log(LogLevel::kWarn, "no connection is taken; close connections, or raise the limit of open files (ulimit -n, LimitNOFILE)",
      {{"why", why}, {"left_out", *left_out}});
}

void WarnOfCount(LineLimit& limit, size_t connections_max) {
  const std::optional<int64_t> left_out = limit.Admit();
  if (!left_out) return;
  Log(LogLevel::kWarn, "a connection is closed: as many are open as may be; let callers share connections, each has room for many calls",
      {{"connections_max", static_cast<int64_t>(connections_max)}, {"left_out", *left_out}});
}

// A number that no other socket of this machine ever has; 0 if `descriptor` is closed, or no socket.
uint64_t CookieOf(int descriptor) {
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

}  // namespace

size_t ConnectionsMax(int64_t descriptors_max, int64_t outbound_requests) {
  return static_cast<size_t>(std::clamp<int64_t>(descriptors_max - outbound_requests - Kept(descriptors_max), 1, int64_t{kConnectionsMax}));
}

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Open(const ListenAddress& address, int64_t descriptors_max, size_t connections_max) {
  ListenAddress bound = address;
  const int listener = Listen(bound);
  const int wake = eventfd(0, EFD_CLOEXEC);
  if (listener < 0 || wake < 0) {
    const int error = errno;
    if (listener >= 0) close(listener);
    if (wake >= 0) close(wake);
    return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", address.ToString(), ": ", std::strerror(error)));
  }
  return std::unique_ptr<Acceptor>(new Acceptor(std::move(bound), listener, wake, ConnectionsEnd(descriptors_max), connections_max));
}

Acceptor::Acceptor(ListenAddress address, int listener, int wake, int connections_end, size_t connections_max)
    : address_(std::move(address)), listener_(listener), wake_(wake), connections_end_(connections_end), connections_max_(connections_max) {}

Acceptor::~Acceptor() {
  Stop();
  close(wake_);
}

void Acceptor::Start(std::function<void(int)> take) {
  take_ = std::move(take);
  thread_ = std::jthread([this] { Run(); });
}

void Acceptor::Stop() {
  if (stopped_.exchange(true)) return;
  eventfd_write(wake_, 1);
  if (thread_.joinable()) thread_.join();
  close(listener_);
}

// Nobody tells when gRPC closes a connection. Its descriptor is another file's then, or nobody's, and the cookie shows that. Where the system gives no
// cookies, nothing is counted for long: better than to refuse for ever.
bool Acceptor::Count(int connection) {
  if (open_.size() >= connections_max_) {
    absl::erase_if(open_, [](const auto& taken) { return taken.second == 0 || CookieOf(taken.first) != taken.second; });
    if (open_.size() >= connections_max_) return false;
  }
  open_[connection] = CookieOf(connection);
  return true;
}

void Acceptor::Run() {
  LineLimit limit(kLinesPerSecondMax);
  pollfd events[2] = {{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
  while (!stopped_) {
    poll(events, 2, -1);
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection >= connections_end_) {
      close(connection);
      Warn(limit, "too many are open");
    } else if (connection >= 0 && !Count(connection)) {
      close(connection);
      WarnOfCount(limit, connections_max_);
    } else if (connection >= 0) {
      take_(connection);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      Warn(limit, std::strerror(errno));
      poll(events, 1, static_cast<int>(absl::ToInt64Milliseconds(kRetry)));
    }
  }
}

}  // namespace agentruntime
