// Which runs belong together: forks of one, runs of a conversation. Within the transaction that is open; nothing also after an error of the database.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/sqlite/database.h"
#include "storage/types.h"

namespace agentruntime::sqlite {

// A run that was forked from `run`.
std::optional<RunId> AnyForkOf(Database& database, const RunId& run);

// The run of the conversation that is not stopped.
std::optional<RunId> ActiveOfConversation(Database& database, absl::string_view tenant, absl::string_view conversation);

// The run of the conversation that was accepted last.
std::optional<RunId> LastOfConversation(Database& database, absl::string_view tenant, absl::string_view conversation);

// Runs of the conversation, the one that was accepted last first. By the order of rows: ids follow the clock, which may be set back.
absl::StatusOr<std::vector<RunId>> SelectConversation(Database& database, absl::string_view tenant, absl::string_view conversation, int32_t limit);

}  // namespace agentruntime::sqlite
