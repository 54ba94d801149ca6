#include "clients/cpp/agents.h"

#include <utility>

#include "agentruntime/v1/agent_service.grpc.pb.h"
#include "clients/cpp/call.h"

namespace agentruntime::client {
namespace {

using Stub = v1::AgentService::Stub;

}  // namespace

struct AgentClient::Impl {
  std::unique_ptr<Stub> stub;
};

AgentClient::AgentClient(std::shared_ptr<grpc::Channel> channel) : impl_(std::make_unique<Impl>(v1::AgentService::NewStub(std::move(channel)))) {}
AgentClient::~AgentClient() = default;

absl::StatusOr<v1::Agent> AgentClient::Create(const v1::Agent& agent) {
  v1::CreateAgentRequest request;
  *request.mutable_agent() = agent;
  return Call(*impl_->stub, &Stub::CreateAgent, request);
}

absl::StatusOr<v1::Agent> AgentClient::Update(const v1::UpdateAgentRequest& request) { return Call(*impl_->stub, &Stub::UpdateAgent, request); }

absl::StatusOr<v1::Agent> AgentClient::Get(const std::string& name) {
  v1::GetAgentRequest request;
  request.set_name(name);
  return Call(*impl_->stub, &Stub::GetAgent, request);
}

absl::StatusOr<v1::ListAgentsResponse> AgentClient::List(const v1::ListAgentsRequest& request) { return Call(*impl_->stub, &Stub::ListAgents, request); }

absl::StatusOr<v1::ListToolsResponse> AgentClient::Tools() { return Call(*impl_->stub, &Stub::ListTools, v1::ListToolsRequest()); }

absl::StatusOr<v1::ListModelsResponse> AgentClient::Models() { return Call(*impl_->stub, &Stub::ListModels, v1::ListModelsRequest()); }

}  // namespace agentruntime::client
