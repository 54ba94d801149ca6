// The methods of AgentService as coroutines; none knows gRPC. `backend` outlives them.
#pragma once

#include "agentruntime/v1/agent_service.pb.h"
#include "server/rpc/run_handlers.h"

namespace agentruntime::rpc {

Answer<v1::Agent> CreateAgent(const Backend& backend, v1::CreateAgentRequest request);
Answer<v1::Agent> UpdateAgent(const Backend& backend, v1::UpdateAgentRequest request);
Answer<v1::Agent> GetAgent(const Backend& backend, v1::GetAgentRequest request);
Answer<v1::ListAgentsResponse> ListAgents(const Backend& backend, v1::ListAgentsRequest request);
Answer<v1::ListToolsResponse> ListTools(const Backend& backend, v1::ListToolsRequest request);
Answer<v1::ListModelsResponse> ListModels(const Backend& backend, v1::ListModelsRequest request);

}  // namespace agentruntime::rpc
