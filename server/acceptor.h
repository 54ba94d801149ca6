// Takes connections off the listening socket.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "server/listen_address.h"

namespace agentruntime {

// Of the files that the process may open, those that no connection of a caller takes: what is left for the store, documents and requests to other machines.
inline constexpr int64_t kDescriptorsKept = 128;
// Open at once, at most. Each may have calls of which gRPC holds a part before anybody counts them: 12 KiB for each, and what came of its message.
inline constexpr size_t kConnectionsMax = 512;

// How many callers may be connected to a process that may open `descriptors_max` files and have as many requests to other machines under way. What those may
// need is left to them, so that neither keeps the other out, whoever came first. At least one.
size_t ConnectionsMax(int64_t descriptors_max, int64_t outbound_requests);

// gRPC's own listener (1.51) stops for ever once the process has no descriptor left for a connection; this one closes what it has no room for, and goes on.
// There is room for `connections_max` of them, as far as there are descriptors beside those that are kept.
class Acceptor {
 public:
  // Callers connect from here on and wait for Start. `descriptors_max`: files that the process may open. FAILED_PRECONDITION: the address cannot be had.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Open(const ListenAddress& address, int64_t descriptors_max, size_t connections_max);
  // Stops.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Where it listens, with the port that it got.
  const ListenAddress& address() const { return address_; }
  // Once: hands each connection, which is non-blocking, to `take`, on a thread of its own.
  void Start(std::function<void(int connection)> take);
  // Callers are refused from here on, and `take` is not called any more.
  void Stop();

 private:
  Acceptor(ListenAddress address, int listener, int wake, int connections_end, size_t connections_max);
  void Run();
  // False if as many are open as may be. Else this one counts until whoever took it closes it.
  bool Count(int connection);

  const ListenAddress address_;
  const int listener_;
  const int wake_;             // an eventfd
  const int connections_end_;  // descriptors from this number on are kept
  const size_t connections_max_;
  absl::flat_hash_map<int, uint64_t> open_;  // descriptor and cookie of what was taken, some of it closed since; only for the thread
  std::function<void(int)> take_;
  std::jthread thread_;
  std::atomic<bool> stopped_ = false;
};

}  // namespace agentruntime
