#include "server/rpc/admin_handlers.h"

#include <string>

#include "proto/base/build_info.h"
#include "proto/base/status.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {
namespace {

constexpr absl::Duration kDrainGraceMax = absl::Hours(1);

v1::PublishedLimits Published(const Backend& backend) {
  v1::PublishedLimits limits;
  limits.set_message_bytes_max(kMessageBytesMax);
  limits.set_event_bytes_max(kEventBytesMax);
  limits.set_input_bytes_max(kInputBytesMax);
  limits.set_arguments_bytes_max(kArgumentsBytesMax);
  limits.set_result_bytes_max(kResultBytesMax);
  limits.set_artifact_bytes_max(kArtifactBytesMax);
  limits.set_run_artifact_bytes_max(kArtifactBytesPerRunMax);
  limits.set_artifact_read_bytes_max(kArtifactReadBytesMax);
  limits.set_instructions_bytes_max(kInstructionsBytesMax);
  limits.set_journal_bytes_max(kJournalBytesMax);
  limits.set_events_max(kEventsMax);
  limits.set_calls_per_decision_max(kCallsPerDecisionMax);
  limits.set_tools_per_agent_max(kToolsPerAgentMax);
  limits.set_labels_max(kLabelsMax);
  limits.set_page_size_max(kPageSizeMax);
  limits.set_json_depth_max(kJsonDepthMax);
  limits.set_input_parts_max(kInputPartsMax);
  limits.set_label_key_bytes_max(kLabelKeyBytesMax);
  limits.set_label_value_bytes_max(kLabelValueBytesMax);
  limits.set_request_id_bytes_max(kRequestIdBytesMax);
  limits.set_request_ids_per_run_max(kRequestIdsPerRunMax);
  limits.set_conversation_bytes_max(kConversationKeyBytesMax);
  limits.set_cause_bytes_max(kCauseBytesMax);
  limits.set_priority_max(kPriorityMax);
  limits.set_fork_depth_max(kForkDepthMax);
  limits.set_run_depth_max(kRunDepthMax);
  limits.set_decision_text_bytes_max(kDecisionTextBytesMax);
  limits.set_watchers_max(kWatchersMax);
  limits.set_reads_waiting_max(kReadsWaitingMax);
  limits.set_open_calls_max(kOpenCallsMax);
  limits.set_agents_max(kAgentsMax);
  limits.set_agent_revisions_max(kRevisionsPerAgentMax);
  *limits.mutable_wait_max() = ToProto(kWaitMax);
  limits.set_queued_runs_max(backend.queued_max);
  limits.set_running_runs_max(backend.running_max);
  return limits;
}

v1::ServingState ServingStateOf(const RuntimeInfo& info) {
  if (info.draining) return v1::SERVING_STATE_DRAINING;
  return info.writable ? v1::SERVING_STATE_SERVING : v1::SERVING_STATE_STORE_UNAVAILABLE;
}

}  // namespace

Answer<v1::ServerInfo> GetServerInfo(const Backend& backend, v1::GetServerInfoRequest) {
  CO_ASSIGN_OR_RETURN(const RuntimeInfo info, co_await backend.runtime->GetInfo());
  v1::ServerInfo server;
  server.set_version(std::string(Version()));
  server.set_node(backend.node);
  server.set_currency_code(backend.currency_code);
  server.set_serving_state(ServingStateOf(info));
  *server.mutable_start_time() = ToProto(backend.start_time);
  server.mutable_store()->set_kind(info.store.kind);
  server.mutable_store()->set_id(info.store.id);
  server.mutable_store()->set_bytes(info.store.bytes);
  server.mutable_store()->set_free_bytes(info.store.free_bytes);
  server.mutable_store()->set_format(info.store.format);
  server.mutable_runs()->set_queued(info.store.queued);
  server.mutable_runs()->set_running(info.store.running);
  server.mutable_runs()->set_waiting(info.store.waiting);
  server.mutable_runs()->set_set_aside(info.store.set_aside);
  *server.mutable_default_limits() = backend.default_limits;
  *server.mutable_maximum_limits() = backend.maximum_limits;
  *server.mutable_published_limits() = Published(backend);
  server.set_sessions(info.sessions);
  server.set_watchers(info.watchers);
  server.set_reads_waiting(info.reads_waiting);
  server.set_late_results(info.late_results);
  co_return server;
}

Answer<v1::DrainResponse> Drain(const Backend& backend, v1::DrainRequest request) {
  FieldChecks checks;
  absl::Duration grace = backend.drain_grace;
  if (request.has_grace()) grace = CheckDuration(checks, "grace", request.grace(), absl::ZeroDuration(), kDrainGraceMax);
  CO_RETURN_IF_ERROR(checks.status());
  backend.drain(grace);
  co_return v1::DrainResponse();
}

}  // namespace agentruntime::rpc
