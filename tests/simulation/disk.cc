#include "tests/simulation/disk.h"

#include <algorithm>
#include <cstdlib>

#include "proto/util/names.h"

namespace agentruntime::simulation {

EventPtr ParseEvent(const std::string& bytes) {
  auto event = std::make_shared<v1::Event>();
  if (!event->ParseFromString(bytes)) std::abort();
  return event;
}

std::optional<CreateOutcome> KnownRequest(const Disk& disk, const std::string& tenant, const std::string& request_id, const std::string& hash) {
  if (request_id.empty()) return std::nullopt;
  const auto at = disk.requests.find(RequestKey(tenant, request_id));
  if (at == disk.requests.end()) return std::nullopt;
  using Kind = CreateOutcome::Kind;
  return CreateOutcome{at->second.deleted ? Kind::kDeleted : at->second.hash == hash ? Kind::kExists : Kind::kReused, at->second.run};
}

std::vector<const DiskRun*> RunsOf(const Disk& disk, const std::string& tenant, const std::string& conversation) {
  std::vector<const DiskRun*> runs;
  if (conversation.empty()) return runs;
  for (const auto& [id, row] : disk.runs) {
    if (row.record.tenant == tenant && row.record.conversation == conversation) runs.push_back(&row);
  }
  return runs;
}

bool IsActive(const DiskRun& row) { return row.record.projection.state != v1::RUN_STATE_STOPPED; }

const std::string& EventOf(const Disk& disk, const DiskRun* row, Sequence sequence) {
  while (sequence <= row->shared()) row = &disk.runs.at(row->record.forked_from->run);
  return row->events[static_cast<size_t>(sequence - row->shared() - 1)];
}

bool Matches(const RunRecord& record, const RunQuery& query) {
  const auto in = [](const auto& values, auto value) { return values.empty() || std::find(values.begin(), values.end(), value) != values.end(); };
  const RunProjection& projection = record.projection;
  if (!query.conversation.empty() && record.conversation != query.conversation) return false;
  if (record.tenant != query.tenant || !in(query.states, projection.state)) return false;
  if (!query.stop_reasons.empty() && (!projection.stop || !in(query.stop_reasons, projection.stop->reason()))) return false;
  if (!query.agent.empty()) {
    const auto name = ParseAgentName(record.agent);
    if (!name || name->agent != query.agent || (query.revision != 0 && name->revision != query.revision)) return false;
  }
  if (query.created_after && record.create_time < *query.created_after) return false;
  if (query.created_before && record.create_time >= *query.created_before) return false;
  return std::all_of(query.labels.begin(), query.labels.end(), [&](const auto& label) {
    const auto found = record.labels.find(label.first);
    return found != record.labels.end() && found->second == label.second;
  });
}

}  // namespace agentruntime::simulation
