// The services over a runtime of this process, without a socket: what the server holds of a call can be looked at.
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "server/rpc/services.h"
#include "tests/support/test_runtime.h"

namespace agentruntime::testing {

// `runtime` outlives it.
class InProcessServer {
 public:
  explicit InProcessServer(TestRuntime& runtime, int64_t open_calls_max = kOpenCallsMax) : host_{pool_.get_executor(), rpc::OpenCalls(open_calls_max)} {
    backend_.runtime = &*runtime;
    backend_.default_limits = PublishedDefaultLimits();
    backend_.maximum_limits = PublishedMaximumLimits();
    backend_.store_id = runtime->store_id();
    services_ = rpc::MakeServices(host_, backend_);
    grpc::ServerBuilder builder;
    for (const rpc::NamedService& service : services_) builder.RegisterService(service.service.get());
    server_ = builder.BuildAndStart();
  }
  ~InProcessServer() {
    server_->Shutdown(absl::ToChronoTime(absl::Now()));
    server_->Wait();
    host_.calls.AwaitNone(absl::Minutes(1));
    pool_.join();
  }

  // What is sent over it is handed on, not copied.
  std::shared_ptr<grpc::Channel> Connect() { return server_->InProcessChannel({}); }

 private:
  boost::asio::thread_pool pool_{2};
  rpc::Host host_;
  rpc::Backend backend_;
  std::vector<rpc::NamedService> services_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace agentruntime::testing
