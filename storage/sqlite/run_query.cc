#include "storage/sqlite/run_query.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "storage/sqlite/rows.h"
#include "storage/unfinished_run.h"

namespace agentruntime::sqlite {
namespace {

// Sorts before every id of `time` and later, and after every earlier one.
std::string FirstIdAt(absl::Time time) {
  constexpr size_t kTimeBytes = 6;
  return std::string(RunId::New(time, 0, 0).bytes().substr(0, kTimeBytes));
}

// What a walk has still before it: ids between the two, exclusive. At first all there are.
struct Range {
  std::string low;
  std::string high = std::string(17, '\xff');
};

Range RangeOf(const RunQuery& query) {
  Range range;
  if (query.created_after) range.low = FirstIdAt(*query.created_after - kIdTimeSlack);
  if (query.created_before) range.high = FirstIdAt(*query.created_before + kIdTimeSlack);
  if (!query.after) return range;
  const std::string after(query.after->bytes());
  query.oldest_first ? range.low = std::max(range.low, after) : range.high = std::min(range.high, after);
  return range;
}

// A row of a walk.
struct Row {
  std::string id;                                   // by which the walk goes
  absl::StatusOr<std::optional<RunRecord>> record;  // nullopt: it does not match. DATA_LOSS: it is damaged, or not there
  Epoch epoch = 0;
};

// Indexes and labels have no checksums: one flipped bit, and one names another run than its own, or none, out of the order of ids. A walk that believed it
// would show a run twice, or go on behind runs that it has not shown. So each row waits for the next one that is behind those in their place.
class Order {
 public:
  Order(Range range, bool oldest_first, SetAside& set_aside) : range_(std::move(range)), oldest_first_(oldest_first), set_aside_(set_aside) {}

  // What is behind the rows that were in their place.
  const Range& rest() const { return range_; }
  absl::string_view last() const { return oldest_first_ ? range_.low : range_.high; }
  // A statement over rest() begins: what waits is met again.
  void Begin() {
    waiting_.reset();
    behind_.clear();
    moved_ = false;
  }
  // The row before it, if that is in its place.
  std::optional<Row> Add(Row row) {
    if (!IsAhead(row.id)) {
      behind_.push_back(std::move(row.id));
      return std::nullopt;
    }
    std::optional<Row> before = std::exchange(waiting_, std::move(row));
    if (!before) return std::nullopt;
    return Place(*std::move(before), waiting_->id);
  }
  // The last one, where there is none behind it.
  std::optional<Row> End() {
    if (!waiting_) return std::nullopt;
    return Place(*std::exchange(waiting_, std::nullopt), "");
  }
  // The last one of a statement that others follow: the next begins with it, unless what came behind it is what is wrong.
  std::optional<Row> Pause() {
    if (behind_.empty() || !moved_) return std::nullopt;
    return End();
  }

 private:
  bool Precedes(absl::string_view a, absl::string_view b) const { return oldest_first_ ? a < b : b < a; }
  bool IsAhead(absl::string_view id) const { return range_.low < id && id < range_.high; }
  std::optional<Row> Place(Row row, absl::string_view next) {
    const bool fits = next.empty() ? moved_ || behind_.empty() : Precedes(row.id, next);
    if (fits) {
      (oldest_first_ ? range_.low : range_.high) = row.id;
      moved_ = true;
    } else {
      Misplaced(row.id);
    }
    // Where a wrong key is the first that a search meets, it begins too early, and what is behind was shown before.
    for (const std::string& id : std::exchange(behind_, {})) {
      if (moved_) Misplaced(id);
    }
    if (!fits) return std::nullopt;
    return row;
  }
  void Misplaced(absl::string_view id) {
    const RunId named = RunId::FromBytes(id).value_or(RunId());
    set_aside_.Note(named, StoreDamaged(absl::StrCat("an index or a label names ", RunName(named), " in the place of another run")));
  }

  Range range_;
  const bool oldest_first_;
  SetAside& set_aside_;
  std::optional<Row> waiting_;
  std::vector<std::string> behind_;  // ids that are not, as many as one statement has
  bool moved_ = false;
};

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

// More than one flipped bit does that.
absl::Status OutOfOrder() { return StoreDamaged("an index of runs is out of order"); }

absl::StatusOr<std::optional<RunRecord>> ReadMatching(Statement& row, const RunQuery& query) {
  const absl::string_view id = row.Bytes(kWalkedColumn);
  const RunId named = RunId::FromBytes(id).value_or(RunId());
  if (row.IsNull(kRunColumn)) return StoreDamaged(absl::StrCat("a label names ", RunName(named), ", which is not there"));
  if (!ColumnsMatch(row, query)) return std::nullopt;
  ASSIGN_OR_RETURN(RunRecord record, ReadRun(row));
  if (record.id.bytes() != id) return StoreDamaged(absl::StrCat("the index of ", RunName(named), " leads to ", RunName(record.id)));
  if (!LabelsMatch(record, query)) return std::nullopt;
  return record;
}

// `searched`: create time of the last run that was looked at.
absl::Status SearchTooLong(const RunQuery& query, absl::Time searched, int64_t rows) {
  const absl::Time from = query.oldest_first ? searched - kIdTimeSlack : searched + kIdTimeSlack;
  return InvalidField(query.oldest_first ? "created_after" : "created_before",
                      absl::StrCat("none of ", rows, " runs matches; narrow the query, or search on with this field at ",
                                   absl::FormatTime(absl::RFC3339_full, from, absl::UTCTimeZone())));
}

}  // namespace

absl::StatusOr<WalkedPage> SelectPage(Database& database, const RunQuery& query, int64_t rows_max, SetAside& set_aside, const std::stop_token& stop) {
  WalkedPage walked;
  RunPage& page = walked.page;
  // False once the page is full.
  const auto take = [&](std::optional<Row> row) {
    if (row && !row->record.ok()) set_aside.Note(RunId::FromBytes(row->id).value_or(RunId()), row->record.status());
    if (!row || !row->record.ok() || !*row->record) return true;
    page.more = static_cast<int32_t>(page.runs.size()) == query.limit;
    if (!page.more) page.runs.push_back(**std::move(row->record));
    return !page.more;
  };
  Order order(RangeOf(query), query.oldest_first, set_aside);
  for (;;) {
    if (stop.stop_requested()) return absl::CancelledError("nobody waits for these runs any more");
    order.Begin();
    const Range rest = order.rest();  // what is bound must stay
    const std::string from(order.last());
    // And one more, which shows that the last is in its place.
    const int64_t count = std::min<int64_t>(kReadRowsMax - 1, rows_max - walked.rows);
    Statement& rows = Walk(database, query, rest, count + 1);
    int64_t seen = 0;
    for (; rows.Step(); ++seen) {
      if (take(order.Add({std::string(rows.Bytes(kWalkedColumn)), ReadMatching(rows, query)}))) continue;
      rows.Reset();
      return walked;
    }
    RETURN_IF_ERROR(database.TakeError());
    walked.rows += std::min(seen, count);
    const bool full = !take(seen <= count ? order.End() : order.Pause());
    if (full || seen <= count) return walked;
    if (order.last() == from) return OutOfOrder();
    if (walked.rows >= rows_max) {
      page.more = true;
      std::string last(order.last());
      last.resize(RunId().bytes().size());  // a damaged id may have another length
      walked.next = RunId::FromBytes(last);
      return walked;
    }
  }
}

absl::StatusOr<RunPage> Search(Readers& readers, const RunQuery& query, const SearchBounds& bounds, SetAside& set_aside, const std::stop_token& stop) {
  RunQuery rest = query;
  int64_t rows = 0;
  while (rows < bounds.fruitless_rows_max) {
    // Given back in between, so that a long search does not keep others from reading.
    ASSIGN_OR_RETURN(Readers::Lease reader, readers.Acquire());
    ASSIGN_OR_RETURN(WalkedPage walked, SelectPage(*reader, rest, bounds.rows_max, set_aside, stop));
    if (!walked.page.runs.empty() || !walked.next) return std::move(walked.page);
    rest.after = walked.next;
    rows += walked.rows;
  }
  return SearchTooLong(query, rest.after->time(), rows);
}

absl::StatusOr<std::vector<UnfinishedRun>> SelectUnfinished(Database& database, std::optional<RunId> after, int32_t limit, SetAside& set_aside) {
  std::vector<UnfinishedRun> runs;
  const auto take = [&](std::optional<Row> row) {
    if (!row) return;
    if (!row->record.ok()) return set_aside.Note(RunId::FromBytes(row->id).value_or(RunId()), row->record.status());
    runs.push_back(UnfinishedOf(**row->record, row->epoch));
  };
  Order order(after ? Range{std::string(after->bytes())} : Range(), /*oldest_first=*/true, set_aside);
  while (static_cast<int32_t>(runs.size()) < limit) {
    order.Begin();
    const std::string from(order.last());  // what is bound must stay
    Statement& rows = database.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS " FROM runs WHERE state <> 'STOPPED' AND run > ?1 ORDER BY run LIMIT ?2");
    rows.BindBlob(from).Bind(int64_t{kReadRowsMax});
    int seen = 0;
    for (; static_cast<int32_t>(runs.size()) < limit && rows.Step(); ++seen) {
      take(order.Add({std::string(rows.Bytes(kRunColumn)), ReadRun(rows), rows.Integer(kEpochColumn)}));
    }
    if (static_cast<int32_t>(runs.size()) == limit) {
      rows.Reset();
      return runs;
    }
    absl::Status fault = database.TakeError();
    const bool at_end = fault.ok() && seen < kReadRowsMax;
    if (fault.ok()) take(at_end ? order.End() : order.Pause());
    if (fault.ok() && !at_end && order.last() == from) fault = OutOfOrder();
    // What came before is whole. The next page begins behind it and tells of the fault.
    if (!fault.ok() && runs.empty()) return fault;
    if (!fault.ok() || at_end) return runs;
  }
  return runs;
}

}  // namespace agentruntime::sqlite
