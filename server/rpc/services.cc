#include "server/rpc/services.h"

#include <utility>

namespace agentruntime::rpc {

std::vector<NamedService> MakeServices(const boost::asio::any_io_executor& pool, const Backend& backend) {
  std::vector<NamedService> services;
  services.push_back({"agentruntime.v1.RunService", MakeRunService(pool, backend)});
  services.push_back({"agentruntime.v1.AgentService", MakeAgentService(pool, backend)});
  services.push_back({"agentruntime.v1.AdminService", MakeAdminService(pool, backend)});
  return services;
}

}  // namespace agentruntime::rpc
