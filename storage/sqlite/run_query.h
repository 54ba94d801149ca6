// Lists of runs.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/sqlite/core.h"
#include "storage/sqlite/database.h"
#include "storage/types.h"

namespace agentruntime::sqlite {

// Walks the index that narrows the query most (a label, unfinished runs, all runs) in the order of ids and tests the other conditions row by row. Each
// statement looks at no more than kReadRowsMax rows, so that a query which matches few of many runs holds no long transaction.
absl::StatusOr<RunPage> SelectPage(Database& database, const RunQuery& query, SetAside& set_aside);

absl::StatusOr<std::vector<UnfinishedRun>> SelectUnfinished(Database& database, std::optional<RunId> after, int32_t limit, SetAside& set_aside);

}  // namespace agentruntime::sqlite
