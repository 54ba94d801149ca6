// The gRPC listener: services, health, reflection.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/listen_address.h"
#include "server/rpc/backend.h"

namespace agentruntime {

// Bounds of connections beside those of limits.h and acceptor.h.
inline constexpr int kCallsPerConnectionMax = 256;  // over it gRPC's clients wait by themselves
// What gRPC has of callers that nobody here has taken yet: messages on their way in, about 3 KiB for each open watch. Over it calls are cut off.
inline constexpr size_t kUnfinishedRequestBytesMax = 256 << 20;
inline constexpr int kMetadataBytesMax = 16 << 10;

// Thread-safe.
class Server {
 public:
  // Begins to serve. `pool` runs the handlers; `backend` outlives the server. `descriptors_max`: files that the process may open;
  // `outbound_requests`: to other machines, at once, at most. FAILED_PRECONDITION: the address cannot be had.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ListenAddress& address, const boost::asio::any_io_executor& pool, const rpc::Backend& backend,
                                                       int64_t descriptors_max, int64_t outbound_requests);
  ~Server();

  // Where it listens, with the port that it got.
  const ListenAddress& address() const { return address_; }
  // What health checks say, of each service and of the server as a whole ("").
  void SetServing(bool serving);
  // Lets open calls end for up to `grace`, then no calls are taken any more and those still open are cancelled. Returns when none is left.
  void Shutdown(absl::Duration grace);

 private:
  struct Impl;
  Server(ListenAddress address, std::unique_ptr<Impl> impl);

  const ListenAddress address_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace agentruntime
