#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "tests/simulation/store.h"

namespace agentruntime::simulation {
namespace {

std::string Content(v1::Agent agent) {
  agent.clear_revision();
  agent.clear_etag();
  agent.clear_create_time();
  agent.clear_update_time();
  return agent.SerializeAsString();
}

}  // namespace

absl::StatusOr<v1::Agent> SimulatedAgentStore::Write(v1::Agent agent, bool may_create, bool may_update, absl::Time now) {
  const std::optional<AgentName> name = ParseAgentName(agent.name());
  if (!name || name->revision != 0) return InvalidField("agent.name", "is not of the form agents/{agent}");
  if (!store_.writable()) return StoreUnavailable("its disk is full or busy");
  const std::string etag = std::exchange(*agent.mutable_etag(), "");
  MutexLock lock(disk_.mu);
  const auto at = disk_.agents.find(name->agent);
  if (at == disk_.agents.end()) {
    if (!may_create) return AgentNotFound(agent.name());
    if (static_cast<int64_t>(disk_.agents.size()) >= bounds_.agents_max) return AgentsFull(bounds_.agents_max);
    *agent.mutable_create_time() = ToProto(now);
  } else {
    const v1::Agent& newest = at->second.back();
    if (!may_update) return AgentExists(agent.name());
    if (!etag.empty() && etag != newest.etag()) return EtagStale(agent.name());
    if (Content(agent) == Content(newest)) return newest;
    if (static_cast<int64_t>(at->second.size()) >= bounds_.revisions_max) return RevisionsFull(agent.name(), bounds_.revisions_max);
    *agent.mutable_create_time() = newest.create_time();
  }
  std::vector<v1::Agent>& revisions = disk_.agents[name->agent];
  const auto revision = static_cast<int32_t>(revisions.size()) + 1;
  agent.set_revision(FormatRevisionName(name->agent, revision));
  agent.set_etag(absl::StrCat("etag-", revision));
  *agent.mutable_update_time() = ToProto(now);
  return revisions.emplace_back(std::move(agent));
}

absl::StatusOr<v1::Agent> SimulatedAgentStore::Create(const v1::Agent& agent, absl::Time now) { return Write(agent, true, false, now); }

absl::StatusOr<v1::Agent> SimulatedAgentStore::Update(const v1::Agent& agent, bool allow_missing, absl::Time now) {
  return Write(agent, allow_missing, true, now);
}

absl::StatusOr<v1::Agent> SimulatedAgentStore::Get(absl::string_view agent_id, int32_t revision) {
  MutexLock lock(disk_.mu);
  const auto at = disk_.agents.find(std::string(agent_id));
  if (at == disk_.agents.end() || revision > static_cast<int32_t>(at->second.size())) {
    return AgentNotFound(revision == 0 ? FormatAgentName(agent_id) : FormatRevisionName(agent_id, revision));
  }
  return revision == 0 ? at->second.back() : at->second[static_cast<size_t>(revision) - 1];
}

absl::StatusOr<std::vector<v1::Agent>> SimulatedAgentStore::List(absl::string_view after, int32_t limit) {
  MutexLock lock(disk_.mu);
  std::vector<v1::Agent> agents;
  size_t bytes = 0;
  for (auto at = disk_.agents.upper_bound(std::string(after)); at != disk_.agents.end() && static_cast<int32_t>(agents.size()) < limit; ++at) {
    if (agents.size() > 1 && bytes > kPageBytesMax) break;
    bytes += at->second.back().ByteSizeLong();
    agents.push_back(at->second.back());
  }
  return agents;
}

}  // namespace agentruntime::simulation
