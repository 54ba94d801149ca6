// Journals as they are read: a run's row, and its events wherever they lie.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "storage/sqlite/database.h"
#include "storage/types.h"

namespace agentruntime::sqlite {

// The run's row. NOT_FOUND; DATA_LOSS (RunDamaged).
absl::StatusOr<RunRecord> SelectRun(Database& database, const RunId& run);

// Events of the run after `after`, as far as the limit allows; what a fork shares is read from the runs that it was forked from. Within the transaction in
// which `record` was read. DATA_LOSS: a journal without gaps is the store's promise, so a missing event is damage.
absl::StatusOr<std::vector<EventPtr>> SelectEvents(Database& database, const RunRecord& record, Sequence after, const ReadLimit& limit);

}  // namespace agentruntime::sqlite
