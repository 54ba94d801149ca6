// The server itself.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agentruntime/v1/admin_service.pb.h"

namespace grpc {
class Channel;
}

namespace agentruntime::client {

// Blocking, errors and threads as RunClient.
class AdminClient {
 public:
  explicit AdminClient(std::shared_ptr<grpc::Channel> channel);
  ~AdminClient();

  absl::StatusOr<v1::ServerInfo> Info();
  // Lets the server end within `grace`, its configured one if unset; returns at once.
  absl::Status Drain(std::optional<absl::Duration> grace);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace agentruntime::client
