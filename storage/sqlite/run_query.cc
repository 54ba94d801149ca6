#include "storage/sqlite/run_query.h"

#include <algorithm>
#include <string>
#include <utility>

#include "proto/base/status.h"
#include "storage/sqlite/rows.h"

namespace agentruntime::sqlite {
namespace {

// Bounds of ids: in the order of the walk every run comes after its start.
constexpr char kBeforeAll[] = "";  // sorts before every id
const std::string& AfterAll() {
  static const std::string& bytes = *new std::string(17, '\xff');
  return bytes;
}

bool OnlyUnfinished(const RunQuery& query) {
  return !query.states.empty() && std::find(query.states.begin(), query.states.end(), v1::RUN_STATE_STOPPED) == query.states.end();
}

// The next kReadRowsMax rows of the walk, beyond `from`.
Statement& Walk(Database& database, const RunQuery& query, absl::string_view from) {
  if (!query.labels.empty()) {
    const auto& [key, value] = *query.labels.begin();
    Statement& select = query.oldest_first
                            ? database.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS
                                           " FROM runs WHERE run IN (SELECT run FROM run_labels WHERE tenant = ?3 AND key = ?4 AND value = ?5 AND run > ?1 "
                                           "ORDER BY run LIMIT ?2) ORDER BY run")
                            : database.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS
                                           " FROM runs WHERE run IN (SELECT run FROM run_labels WHERE tenant = ?3 AND key = ?4 AND value = ?5 AND run < ?1 "
                                           "ORDER BY run DESC LIMIT ?2) ORDER BY run DESC");
    return select.BindBlob(from).Bind(int64_t{kReadRowsMax}).BindText(query.tenant).BindText(key).BindText(value);
  }
  if (OnlyUnfinished(query)) {
    Statement& select = query.oldest_first
                            ? database.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS " FROM runs WHERE state <> 'STOPPED' AND run > ?1 ORDER BY run LIMIT ?2")
                            : database.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS " FROM runs WHERE state <> 'STOPPED' AND run < ?1 ORDER BY run DESC LIMIT ?2");
    return select.BindBlob(from).Bind(int64_t{kReadRowsMax});
  }
  Statement& select = query.oldest_first ? database.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS " FROM runs WHERE run > ?1 ORDER BY run LIMIT ?2")
                                         : database.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS " FROM runs WHERE run < ?1 ORDER BY run DESC LIMIT ?2");
  return select.BindBlob(from).Bind(int64_t{kReadRowsMax});
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

}  // namespace

absl::StatusOr<RunPage> SelectPage(Database& database, const RunQuery& query, SetAside& set_aside) {
  RunPage page;
  std::string from = query.after ? std::string(query.after->bytes()) : query.oldest_first ? std::string(kBeforeAll) : AfterAll();
  for (;;) {
    Statement& rows = Walk(database, query, from);
    int seen = 0;
    while (rows.Step()) {
      ++seen;
      from = std::string(rows.Bytes(kRunColumn));
      if (!ColumnsMatch(rows, query)) continue;
      absl::StatusOr<RunRecord> record = ReadRun(rows);
      if (!record.ok()) {
        set_aside.Note(RunId::FromBytes(from).value_or(RunId()), record.status());
        continue;
      }
      if (!LabelsMatch(*record, query)) continue;
      if (static_cast<int32_t>(page.runs.size()) == query.limit) {
        page.more = true;
        rows.Reset();
        return page;
      }
      page.runs.push_back(*std::move(record));
    }
    RETURN_IF_ERROR(database.TakeError());
    if (seen < kReadRowsMax) return page;
  }
}

absl::StatusOr<std::vector<UnfinishedRun>> SelectUnfinished(Database& database, std::optional<RunId> after, int32_t limit, SetAside& set_aside) {
  std::vector<UnfinishedRun> runs;
  std::string from = after ? std::string(after->bytes()) : std::string(kBeforeAll);
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
      runs.push_back({record->id, projection.state, projection.barren_starts, projection.wake_time});
    }
    rows.Reset();
    RETURN_IF_ERROR(database.TakeError());
    if (seen < kReadRowsMax) return runs;
  }
}

}  // namespace agentruntime::sqlite
