// Agents as their rows tell them.
//
// A revision's row has a checksum, the agent's own row has none. So what that row says is held against the revisions: they are never removed, their numbers go
// up by one, and the first of them came with the agent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agentruntime/v1/agent.pb.h"
#include "storage/sqlite/database.h"

namespace agentruntime::sqlite {

std::string EtagOf(int64_t revision, int64_t crc);
int64_t RevisionChecksum(absl::string_view agent, int64_t revision, int64_t created_us, absl::string_view content);

// Of rows with the columns agent, revision, created_us of the revision, content, crc.
bool IsWhole(Statement& row);
// Without the agent's create time. DATA_LOSS (AgentDamaged).
absl::StatusOr<v1::Agent> ReadRevision(Statement& row);

// The three below look at other revisions of an agent. Errors of the database stay there.

// A whole one above `revision`, which is then not the newest, whatever the agent's row says. A row that is not whole says nothing, not even its number.
std::optional<int64_t> NewerRevision(Database& database, absl::string_view agent, int64_t revision);
// OK, or DATA_LOSS (AgentDamaged): what the agent's row names as the newest revision is not; nullopt: it is not there.
absl::Status CheckNewest(Database& database, absl::string_view agent, std::optional<int64_t> revision);
// When the agent was made: with its first revision. `in_row`: what the agent's row says, which counts only where that revision cannot be read.
int64_t CreatedOf(Database& database, absl::string_view agent, int64_t in_row);

}  // namespace agentruntime::sqlite
