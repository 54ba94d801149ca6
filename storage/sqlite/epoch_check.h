// Holds the store's own row, which has no checksum, against what was written under it.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "storage/sqlite/database.h"

namespace agentruntime::sqlite {

// Call it before the next epoch begins. An epoch that is behind that of a run makes every append to the run LOST, for ever: a flipped bit would stop a store
// without a word. Events lie in the order in which they were written and epochs only grow, so the newest event tells; its own checksum says whether it can be
// believed. DATA_LOSS, with the path and the remedy in the message.
// Not found out: an epoch that is ahead of them all, which does no harm; a restored epoch that is no later than the last one; another id of the store.
absl::Status CheckEpoch(Database& database, absl::string_view path);

}  // namespace agentruntime::sqlite
