// Lists of runs.
#pragma once

#include <optional>
#include <stop_token>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/sqlite/core.h"
#include "storage/sqlite/database.h"
#include "storage/types.h"

namespace agentruntime::sqlite {

// A run's id is made shortly before its event 1, whose time is its create time; the clock may be set in between.
inline constexpr absl::Duration kIdTimeSlack = absl::Minutes(1);

// A page as far as one walk came.
struct WalkedPage {
  RunPage page;
  int64_t rows = 0;           // that were looked at
  std::optional<RunId> next;  // the last of them, if the walk ended before its end
};

// Walks the index that narrows the query most (a conversation, a label, unfinished runs, all runs) in the order of ids, between the ids of the query's times,
// and tests the other conditions row by row, `rows_max` rows at most. Each statement looks at no more than kReadRowsMax of them, so that a query
// which matches few of many runs holds no long transaction. A damaged run, one that a label names and that is not there, and one that is named out of order, in
// the place of another, is noted and left out: it ends no walk. CANCELLED once `stop` is asked for, before the next statement.
absl::StatusOr<WalkedPage> SelectPage(Database& database, const RunQuery& query, int64_t rows_max, SetAside& set_aside, const std::stop_token& stop = {});

// Rows that one search looks at.
struct SearchBounds {
  int64_t rows_max = 20'000;               // of one walk; what it found is the page
  int64_t fruitless_rows_max = 1'000'000;  // of all walks, as long as nothing is found
};

// Walks on until there is something to show. INVALID_ARGUMENT if nothing matched within the bounds: the message says where to search on. CANCELLED as above.
absl::StatusOr<RunPage> Search(Readers& readers, const RunQuery& query, const SearchBounds& bounds, SetAside& set_aside, const std::stop_token& stop = {});

absl::StatusOr<std::vector<UnfinishedRun>> SelectUnfinished(Database& database, std::optional<RunId> after, int32_t limit, SetAside& set_aside);

}  // namespace agentruntime::sqlite
