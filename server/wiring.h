// Builds every part out of the configuration, by hand, in one place; nothing registers itself, nothing is global.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "server/config.h"
#include "server/exit_code.h"
#include "server/rpc/backend.h"

namespace agentruntime {

// What holds for this process, beside the configuration.
struct ProcessOptions {
  int outbound_requests;  // at once, of all models and tools: OutboundRequests
  bool restored;          // the command line says that the store is a restored copy: at this start
};

// Everything below the listener, running.
class Wiring {
 public:
  // Opens the store, builds models and tools, applies the agents of the configuration, takes up unfinished runs. On failure `failure` says why and the
  // result is null. `config` outlives the wiring.
  static std::unique_ptr<Wiring> Build(const LoadedConfig& config, const ProcessOptions& process, std::optional<StartFailure>& failure);
  // After Drain.
  ~Wiring();

  Runtime& runtime();
  boost::asio::any_io_executor pool();
  // Blocks until no session is left.
  void Drain(absl::Duration grace);
  // Calls `drained()` on some thread when no session is left. May be called again while it goes on; the drain that ends its grace first counts.
  void StartDrain(absl::Duration grace, std::function<void()> drained);

 private:
  struct Impl;
  explicit Wiring(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace agentruntime
