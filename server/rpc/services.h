// The gRPC services. The only place that sees the generated service code.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>
#include <string>
#include <vector>

#include "server/rpc/backend.h"
#include "server/rpc/host.h"

namespace agentruntime::rpc {

struct NamedService {
  std::string name;  // as health checks call it
  std::unique_ptr<grpc::Service> service;
};

// Handlers run on strands of `host.pool`. `host` and `backend` outlive the services.
std::vector<NamedService> MakeServices(Host& host, const Backend& backend);

std::unique_ptr<grpc::Service> MakeRunService(Host& host, const Backend& backend);
std::unique_ptr<grpc::Service> MakeAgentService(Host& host, const Backend& backend);
std::unique_ptr<grpc::Service> MakeAdminService(Host& host, const Backend& backend);

}  // namespace agentruntime::rpc
