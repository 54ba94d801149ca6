// The gRPC services. The only place that sees the generated service code.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "server/rpc/backend.h"

namespace agentruntime::rpc {

struct NamedService {
  std::string name;  // as health checks call it
  std::unique_ptr<grpc::Service> service;
};

// Handlers run on strands of `pool`. `backend` outlives the services.
std::vector<NamedService> MakeServices(const boost::asio::any_io_executor& pool, const Backend& backend);

std::unique_ptr<grpc::Service> MakeRunService(const boost::asio::any_io_executor& pool, const Backend& backend);
std::unique_ptr<grpc::Service> MakeAgentService(const boost::asio::any_io_executor& pool, const Backend& backend);
std::unique_ptr<grpc::Service> MakeAdminService(const boost::asio::any_io_executor& pool, const Backend& backend);

}  // namespace agentruntime::rpc
