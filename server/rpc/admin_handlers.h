// The methods of AdminService as coroutines; none knows gRPC. `backend` outlives them.
#pragma once

#include "agentruntime/v1/admin_service.pb.h"
#include "server/rpc/run_handlers.h"

namespace agentruntime::rpc {

Answer<v1::ServerInfo> GetServerInfo(const Backend& backend, v1::GetServerInfoRequest request);
Answer<v1::DrainResponse> Drain(const Backend& backend, v1::DrainRequest request);

}  // namespace agentruntime::rpc
