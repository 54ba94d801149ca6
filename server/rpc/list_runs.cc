#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/names.h"
#include "server/rpc/page.h"
#include "server/rpc/page_token.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {
namespace {

RunQuery ToQuery(FieldChecks& checks, const v1::ListRunsRequest& request) {
  RunQuery query;
  query.limit = CheckPageSize(checks, request.page_size());
  for (int i = 0; i < request.states_size(); ++i) {
    const v1::RunState state = request.states(i);
    if (!v1::RunState_IsValid(state) || state == v1::RUN_STATE_UNSPECIFIED) {
      checks.Add(absl::StrCat("states[", i, "]"), absl::StrCat(static_cast<int>(state), " is not a state of a run; see RunState"));
    }
    query.states.push_back(state);
  }
  for (int i = 0; i < request.stop_reasons_size(); ++i) {
    const v1::StopReason reason = request.stop_reasons(i);
    if (!v1::StopReason_IsValid(reason) || reason == v1::STOP_REASON_UNSPECIFIED) {
      checks.Add(absl::StrCat("stop_reasons[", i, "]"), absl::StrCat(static_cast<int>(reason), " is not a reason to stop; see StopReason"));
    }
    query.stop_reasons.push_back(reason);
  }
  if (!request.agent().empty()) {
    const AgentName agent = CheckAgentName(checks, "agent", request.agent());
    query.agent = agent.agent;
    query.revision = agent.revision;
  }
  CheckLabels(checks, "labels", request.labels());
  query.labels.insert(request.labels().begin(), request.labels().end());
  if (request.has_created_after()) query.created_after = CheckTime(checks, "created_after", request.created_after());
  if (request.has_created_before()) query.created_before = CheckTime(checks, "created_before", request.created_before());
  CheckConversation(checks, "conversation", request.conversation());
  query.conversation = request.conversation();
  query.oldest_first = request.oldest_first();
  return query;
}

}  // namespace

Answer<v1::ListRunsResponse> ListRuns(const Backend& backend, v1::ListRunsRequest request, Caller caller) {
  FieldChecks checks;
  // The lists of a filter have few members; repeated ones are a mistake or an attack.
  if (request.states_size() > v1::RunState_ARRAYSIZE) checks.Add("states", "has more members than there are states; give each once");
  if (request.stop_reasons_size() > v1::StopReason_ARRAYSIZE) checks.Add("stop_reasons", "has more members than there are reasons; give each once");
  CO_RETURN_IF_ERROR(checks.status());
  RunQuery query = ToQuery(checks, request);
  CO_RETURN_IF_ERROR(checks.status());
  query.tenant = std::move(caller.tenant);

  const std::string query_text = QueryOf(request);
  CO_ASSIGN_OR_RETURN(const std::string key, DecodePageToken(request.page_token(), backend.store_id, query_text));
  if (!key.empty()) {
    query.after = RunId::Parse(key);
    if (!query.after) co_return PageTokenInvalid();
  }

  const size_t page_size = static_cast<size_t>(query.limit);
  CO_ASSIGN_OR_RETURN(auto found, co_await backend.runtime->ListRuns(std::move(query)));
  auto& [runs, more] = found;
  v1::ListRunsResponse response;
  if (FillPage(std::move(runs), page_size, *response.mutable_runs())) more = true;
  if (more && response.runs_size() > 0) {
    const auto last = ParseRunName(response.runs(response.runs_size() - 1).name());
    if (!last) co_return absl::InternalError("a listed run has no name");
    response.set_next_page_token(EncodePageToken(backend.store_id, query_text, last->ToString()));
  }
  co_return response;
}

}  // namespace agentruntime::rpc
