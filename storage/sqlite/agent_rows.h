// Agents as their rows tell them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agentruntime/v1/agent.pb.h"
#include "storage/sqlite/database.h"

namespace agentruntime::sqlite {

std::string EtagOf(int64_t revision, int64_t crc);
int64_t RevisionChecksum(absl::string_view agent, int64_t revision, int64_t created_us, absl::string_view content);

// Of rows with the columns agent, revision, created_us of the revision, content, crc, created_us of the agent; the second to the fifth are NULL where the
// agent's newest revision is not there.
bool IsWhole(Statement& row);
// DATA_LOSS (AgentDamaged).
absl::StatusOr<v1::Agent> ReadAgent(Statement& row);

}  // namespace agentruntime::sqlite
