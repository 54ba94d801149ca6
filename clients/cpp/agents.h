// Agents of a server, its tools and models.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agentruntime/v1/agent_service.pb.h"

namespace grpc {
class Channel;
}

namespace agentruntime::client {

// Blocking, errors and threads as RunClient.
class AgentClient {
 public:
  explicit AgentClient(std::shared_ptr<grpc::Channel> channel);
  ~AgentClient();

  absl::StatusOr<v1::Agent> Create(const v1::Agent& agent);
  // Replaces the agent whole. An `etag` in it guards against changes by others.
  absl::StatusOr<v1::Agent> Update(const v1::UpdateAgentRequest& request);
  absl::StatusOr<v1::Agent> Get(const std::string& name);
  absl::StatusOr<v1::ListAgentsResponse> List(const v1::ListAgentsRequest& request);
  absl::StatusOr<v1::ListToolsResponse> Tools();
  absl::StatusOr<v1::ListModelsResponse> Models();

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace agentruntime::client
