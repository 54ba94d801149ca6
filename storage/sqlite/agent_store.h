// AgentStore over SQLite.
#pragma once

#include <memory>
#include <vector>

#include "storage/agent_store.h"
#include "storage/sqlite/core.h"

namespace agentruntime::sqlite {

class SqliteAgentStore final : public AgentStore {
 public:
  SqliteAgentStore(std::shared_ptr<Core> core, AgentBounds bounds);

  absl::StatusOr<v1::Agent> Create(const v1::Agent& agent, absl::Time now) override;
  absl::StatusOr<v1::Agent> Update(const v1::Agent& agent, bool allow_missing, absl::Time now) override;
  absl::StatusOr<v1::Agent> Get(absl::string_view agent_id, int32_t revision) override;
  absl::StatusOr<std::vector<v1::Agent>> List(absl::string_view after, int32_t limit) override;

 private:
  const std::shared_ptr<Core> core_;
  const AgentBounds bounds_;
};

}  // namespace agentruntime::sqlite
