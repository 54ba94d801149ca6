#include "storage/sqlite/run_query.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "storage/sqlite/rows.h"

namespace agentruntime::sqlite {
namespace {

// Sorts before every id of `time` and later, and after every earlier one.
std::string FirstIdAt(absl::Time time) {
  constexpr size_t kTimeBytes = 6;
  return std::string(RunId::New(time, 0, 0).bytes().substr(0, kTimeBytes));
}

// What a walk has still before it: ids between the two, exclusive.
struct Range {
  std::string low;
  std::string high;
};

Range RangeOf(const RunQuery& query) {
  Range range{"", std::string(17, '\xff')};  // before and after every id
  if (query.created_after) range.low = FirstIdAt(*query.created_after - kIdTimeSlack);
  if (query.created_before) range.high = FirstIdAt(*query.created_before + kIdTimeSlack);
  if (!query.after) return range;
  const std::string after(query.after->bytes());
  query.oldest_first ? range.low = std::max(range.low, after) : range.high = std::min(range.high, after);
  return range;
}

bool OnlyUnfinished(const RunQuery& query) {
  return !query.states.empty() && std::find(query.states.begin(), query.states.end(), v1::RUN_STATE_STOPPED) == query.states.end();
}

// The id by which a walk goes comes last. Of a label's row whose run is not there it is all there is.
#define AGENTRUNTIME_WALK_COLUMNS AGENTRUNTIME_RUN_COLUMNS ", run"
#define AGENTRUNTIME_LABELLED                                                                                                                        \
  "SELECT " AGENTRUNTIME_RUN_COLUMNS                                                                                                                 \
  ", labelled FROM (SELECT run AS labelled FROM run_labels WHERE tenant = ?4 AND key = ?5 AND value = ?6 AND run > ?1 AND run < ?2) LEFT JOIN runs " \
  "ON run = labelled ORDER BY labelled "
constexpr int kWalkedColumn = 33;

// The next `count` rows of the walk. Each row of the index that it goes along is one of them.
Statement& Walk(Database& database, const RunQuery& query, const Range& range, int64_t count) {
  if (!query.conversation.empty()) {
    Statement& select = query.oldest_first
                            ? database.Use("SELECT " AGENTRUNTIME_WALK_COLUMNS
                                           " FROM runs WHERE tenant = ?4 AND conversation = ?5 AND run > ?1 AND run < ?2 ORDER BY run LIMIT ?3")
                            : database.Use("SELECT " AGENTRUNTIME_WALK_COLUMNS
                                           " FROM runs WHERE tenant = ?4 AND conversation = ?5 AND run > ?1 AND run < ?2 ORDER BY run DESC LIMIT ?3");
    return select.BindBlob(range.low).BindBlob(range.high).Bind(count).BindText(query.tenant).BindText(query.conversation);
  }
  if (!query.labels.empty()) {
    const auto& [key, value] = *query.labels.begin();
    Statement& select = query.oldest_first ? database.Use(AGENTRUNTIME_LABELLED "LIMIT ?3") : database.Use(AGENTRUNTIME_LABELLED "DESC LIMIT ?3");
    return select.BindBlob(range.low).BindBlob(range.high).Bind(count).BindText(query.tenant).BindText(key).BindText(value);
  }
  if (OnlyUnfinished(query)) {
    Statement& select =
        query.oldest_first
            ? database.Use("SELECT " AGENTRUNTIME_WALK_COLUMNS " FROM runs WHERE state <> 'STOPPED' AND run > ?1 AND run < ?2 ORDER BY run LIMIT ?3")
            : database.Use("SELECT " AGENTRUNTIME_WALK_COLUMNS " FROM runs WHERE state <> 'STOPPED' AND run > ?1 AND run < ?2 ORDER BY run DESC LIMIT ?3");
    return select.BindBlob(range.low).BindBlob(range.high).Bind(count);
  }
  Statement& select = query.oldest_first
                          ? database.Use("SELECT " AGENTRUNTIME_WALK_COLUMNS " FROM runs WHERE run > ?1 AND run < ?2 ORDER BY run LIMIT ?3")
                          : database.Use("SELECT " AGENTRUNTIME_WALK_COLUMNS " FROM runs WHERE run > ?1 AND run < ?2 ORDER BY run DESC LIMIT ?3");
  return select.BindBlob(range.low).BindBlob(range.high).Bind(count);
}

template <typename Enum>
bool IsAnyOf(absl::string_view text, const std::vector<Enum>& values, absl::string_view (*name)(Enum)) {
  return values.empty() || std::any_of(values.begin(), values.end(), [&](Enum value) { return text == name(value); });
}

// The conditions that columns can tell, without decoding the row.
bool ColumnsMatch(Statement& row, const RunQuery& query) {
  if (row.Bytes(kTenantColumn) != query.tenant) return false;
  if (!IsAnyOf(row.Bytes(kStateColumn), query.states, &StateText)) return false;
  if (!IsAnyOf(row.Bytes(kStopReasonColumn), query.stop_reasons, &StopReasonText)) return false;
  if (!query.agent.empty() && row.Bytes(kAgentColumn) != query.agent) return false;
  if (!query.conversation.empty() && row.Bytes(kConversationColumn) != query.conversation) return false;
  if (query.revision != 0 && row.Integer(kRevisionColumn) != query.revision) return false;
  const absl::Time created = absl::FromUnixMicros(row.Integer(kCreatedColumn));
  if (query.created_after && created < *query.created_after) return false;
  return !query.created_before || created < *query.created_before;
}

bool LabelsMatch(const RunRecord& record, const RunQuery& query) {
  return std::all_of(query.labels.begin(), query.labels.end(), [&](const auto& label) {
    const auto found = record.labels.find(label.first);
    return found != record.labels.end() && found->second == label.second;
  });
}

// `searched`: create time of the last run that was looked at.
absl::Status SearchTooLong(const RunQuery& query, absl::Time searched, int64_t rows) {
  const absl::Time from = query.oldest_first ? searched - kIdTimeSlack : searched + kIdTimeSlack;
  return InvalidField(query.oldest_first ? "created_after" : "created_before",
                      absl::StrCat("none of ", rows, " runs matches; narrow the query, or search on with this field at ",
                                   absl::FormatTime(absl::RFC3339_full, from, absl::UTCTimeZone())));
}

}  // namespace

absl::StatusOr<WalkedPage> SelectPage(Database& database, const RunQuery& query, int64_t rows_max, SetAside& set_aside) {
  WalkedPage walked;
  RunPage& page = walked.page;
  Range range = RangeOf(query);
  std::string& last = query.oldest_first ? range.low : range.high;
  for (;;) {
    const int64_t count = std::min<int64_t>(kReadRowsMax, rows_max - walked.rows);
    Statement& rows = Walk(database, query, range, count);
    std::string seen;     // the last id; not `last` itself, which is bound
    std::string missing;  // the last one that only a label names. A flipped bit may have made it any: no walk jumps there while another will do
    const int64_t rows_before = walked.rows;
    while (rows.Step()) {
      ++walked.rows;
      if (rows.IsNull(kRunColumn)) {
        missing = std::string(rows.Bytes(kWalkedColumn));
        const RunId named = RunId::FromBytes(missing).value_or(RunId());
        set_aside.Note(named, StoreDamaged(absl::StrCat("a label names ", RunName(named), ", which is not there")));
        continue;
      }
      seen = std::string(rows.Bytes(kWalkedColumn));
      if (!ColumnsMatch(rows, query)) continue;
      absl::StatusOr<RunRecord> record = ReadRun(rows);
      if (!record.ok()) {
        set_aside.Note(RunId::FromBytes(seen).value_or(RunId()), record.status());
        continue;
      }
      if (!LabelsMatch(*record, query)) continue;
      if (static_cast<int32_t>(page.runs.size()) == query.limit) {
        page.more = true;
        rows.Reset();
        return walked;
      }
      page.runs.push_back(*std::move(record));
    }
    RETURN_IF_ERROR(database.TakeError());
    if (walked.rows - rows_before < count) return walked;
    last = seen.empty() ? missing : seen;
    if (walked.rows >= rows_max) {
      page.more = true;
      last.resize(RunId().bytes().size());  // a damaged id may have another length
      walked.next = RunId::FromBytes(last);
      return walked;
    }
  }
}

absl::StatusOr<RunPage> Search(Readers& readers, const RunQuery& query, const SearchBounds& bounds, SetAside& set_aside) {
  RunQuery rest = query;
  int64_t rows = 0;
  while (rows < bounds.fruitless_rows_max) {
    // Given back in between, so that a long search does not keep others from reading.
    ASSIGN_OR_RETURN(Readers::Lease reader, readers.Acquire());
    ASSIGN_OR_RETURN(WalkedPage walked, SelectPage(*reader, rest, bounds.rows_max, set_aside));
    if (!walked.page.runs.empty() || !walked.next) return std::move(walked.page);
    rest.after = walked.next;
    rows += walked.rows;
  }
  return SearchTooLong(query, rest.after->time(), rows);
}

absl::StatusOr<std::vector<UnfinishedRun>> SelectUnfinished(Database& database, std::optional<RunId> after, int32_t limit, SetAside& set_aside) {
  std::vector<UnfinishedRun> runs;
  std::string from = after ? std::string(after->bytes()) : "";  // sorts before every id
  for (;;) {
    Statement& rows = database.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS " FROM runs WHERE state <> 'STOPPED' AND run > ?1 ORDER BY run LIMIT ?2");
    rows.BindBlob(from).Bind(int64_t{kReadRowsMax});
    int seen = 0;
    while (static_cast<int32_t>(runs.size()) < limit && rows.Step()) {
      ++seen;
      from = std::string(rows.Bytes(kRunColumn));
      absl::StatusOr<RunRecord> record = ReadRun(rows);
      if (!record.ok()) {
        set_aside.Note(RunId::FromBytes(from).value_or(RunId()), record.status());
        continue;
      }
      const RunProjection& projection = record->projection;
      runs.push_back({record->id, projection.state, projection.barren_starts, projection.priority, projection.wake_time, rows.Integer(kEpochColumn)});
    }
    rows.Reset();
    if (absl::Status fault = database.TakeError(); !fault.ok()) {
      // What came before is whole. The next page begins behind it and tells of the fault.
      if (runs.empty()) return fault;
      return runs;
    }
    if (seen < kReadRowsMax) return runs;
  }
}

}  // namespace agentruntime::sqlite
