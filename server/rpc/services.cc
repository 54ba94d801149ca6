#include "server/rpc/services.h"

#include <utility>

namespace agentruntime::rpc {

std::vector<NamedService> MakeServices(Host& host, const Backend& backend) {
  std::vector<NamedService> services;
  services.push_back({"agentruntime.v1.RunService", MakeRunService(host, backend)});
  services.push_back({"agentruntime.v1.AgentService", MakeAgentService(host, backend)});
  services.push_back({"agentruntime.v1.AdminService", MakeAdminService(host, backend)});
  return services;
}

}  // namespace agentruntime::rpc
