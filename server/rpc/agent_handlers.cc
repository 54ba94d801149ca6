#include "server/rpc/agent_handlers.h"

#include <utility>

#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "server/rpc/page.h"
#include "server/rpc/page_token.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {
namespace {

absl::Status CheckWritten(bool has_agent, const v1::Agent& agent, bool etag_allowed) {
  FieldChecks checks;
  if (has_agent) {
    CheckAgent(checks, "agent", agent);
    if (!etag_allowed && !agent.etag().empty()) checks.Add("agent.etag", "has no meaning for an agent that does not exist yet; leave it out");
  } else {
    checks.Add("agent", "is missing; give the whole agent");
  }
  return checks.status();
}

}  // namespace

Answer<v1::Agent> CreateAgent(const Backend& backend, v1::CreateAgentRequest request) {
  CO_RETURN_IF_ERROR(CheckWritten(request.has_agent(), request.agent(), /*etag_allowed=*/false));
  co_return co_await backend.runtime->CreateAgent(std::move(*request.mutable_agent()));
}

Answer<v1::Agent> UpdateAgent(const Backend& backend, v1::UpdateAgentRequest request) {
  CO_RETURN_IF_ERROR(CheckWritten(request.has_agent(), request.agent(), /*etag_allowed=*/true));
  // An etag speaks of an agent that is there: it must not make one.
  const bool may_create = request.allow_missing() && request.agent().etag().empty();
  const std::string name = request.agent().name();
  auto updated = co_await backend.runtime->UpdateAgent(std::move(*request.mutable_agent()), may_create);
  if (request.allow_missing() && absl::IsNotFound(updated.status())) co_return EtagOfMissingAgent(name);
  co_return updated;
}

Answer<v1::Agent> GetAgent(const Backend& backend, v1::GetAgentRequest request) {
  FieldChecks checks;
  AgentName name = CheckAgentName(checks, "name", request.name());
  CO_RETURN_IF_ERROR(checks.status());
  co_return co_await backend.runtime->GetAgent(std::move(name.agent), name.revision);
}

Answer<v1::ListAgentsResponse> ListAgents(const Backend& backend, v1::ListAgentsRequest request) {
  FieldChecks checks;
  const int32_t page_size = CheckPageSize(checks, request.page_size());
  CO_RETURN_IF_ERROR(checks.status());
  const std::string query = QueryOf(request);
  CO_ASSIGN_OR_RETURN(std::string after, DecodePageToken(request.page_token(), backend.store_id, query));
  // One more than fits tells whether there are more.
  CO_ASSIGN_OR_RETURN(std::vector<v1::Agent> agents, co_await backend.runtime->ListAgents(std::move(after), page_size + 1));
  v1::ListAgentsResponse response;
  if (FillPage(std::move(agents), static_cast<size_t>(page_size), *response.mutable_agents())) {
    const auto last = ParseAgentName(response.agents(response.agents_size() - 1).name());
    if (!last) co_return absl::InternalError("a listed agent has no name");
    response.set_next_page_token(EncodePageToken(backend.store_id, query, last->agent));
  }
  co_return response;
}

Answer<v1::ListToolsResponse> ListTools(const Backend& backend, v1::ListToolsRequest) {
  v1::ListToolsResponse response;
  for (v1::Tool& tool : backend.runtime->ListTools()) *response.add_tools() = std::move(tool);
  co_return response;
}

Answer<v1::ListModelsResponse> ListModels(const Backend& backend, v1::ListModelsRequest) {
  v1::ListModelsResponse response;
  for (v1::Model& model : backend.runtime->ListModels()) *response.add_models() = std::move(model);
  co_return response;
}

}  // namespace agentruntime::rpc
