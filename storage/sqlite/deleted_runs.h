// What is kept of a deleted run: which request it answered, so that a retry is told of it and makes no second run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "storage/sqlite/database.h"
#include "storage/types.h"

namespace agentruntime::sqlite {

// Within the transaction that is open. Errors stay in the database.

// Keeps it, and forgets some of what was kept for longer than 24 h. `run` stands on the run's row, a statement of AGENTRUNTIME_RUN_COLUMNS. What is kept of a
// damaged row is damaged as well: nobody can tell whose request it was.
void KeepDeleted(Database& database, Statement& run, absl::Time now);

// kDeleted, or kDamaged where what is kept is not whole or of another request. nullopt: no deleted run had this request.
std::optional<CreateOutcome> SelectDeletedRequest(Database& database, absl::string_view tenant, absl::string_view request_id);

// What is damaged of all that is kept: a line each, `lines_max` at most.
std::vector<std::string> DeletedRunFaults(Database& database, size_t lines_max);

}  // namespace agentruntime::sqlite
