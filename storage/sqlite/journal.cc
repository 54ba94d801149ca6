#include "storage/sqlite/journal.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "storage/sqlite/readers.h"
#include "storage/sqlite/rows.h"

namespace agentruntime::sqlite {
namespace {

// A stretch of a journal that lies with one run: up to `last`, from where the stretch before it ends.
struct Stretch {
  RunId run;
  Sequence last = 0;
};

// Oldest first. A fork's base is kept as long as the fork, so one that is not there is damage.
absl::StatusOr<std::vector<Stretch>> StretchesOf(Database& database, const RunRecord& record) {
  std::vector<Stretch> stretches = {{record.id, record.projection.last_sequence}};
  std::optional<ForkPoint> base = record.forked_from;
  while (base) {
    stretches.push_back({base->run, base->sequence});
    absl::StatusOr<RunRecord> shared = SelectRun(database, base->run);
    if (absl::IsNotFound(shared.status())) return RunDamaged(record.id, absl::StrCat(base->run.ToString(), ", which it was forked from, is missing"));
    RETURN_IF_ERROR(shared.status());
    if (shared->forked_from && shared->forked_from->sequence >= base->sequence) {
      stretches.back().last = 0;  // forked within what its base shares itself: nothing of the base's own
      shared->forked_from->sequence = base->sequence;
    }
    base = shared->forked_from;
  }
  std::reverse(stretches.begin(), stretches.end());
  return stretches;
}

struct Page {
  std::vector<EventPtr> events;
  int64_t bytes = 0;
  bool full = false;
};

absl::Status Missing(const RunId& run, Sequence sequence) { return RunDamaged(run, absl::StrCat("event ", sequence, " is missing")); }

// Adds the events of the stretch behind `at`, which is the last one of the page or before it.
absl::Status Add(Database& database, const Stretch& stretch, Sequence at, const ReadLimit& limit, Page& page) {
  const int64_t count = std::min<int64_t>(std::clamp(limit.events_max, 1, kReadRowsMax) - static_cast<int64_t>(page.events.size()), stretch.last - at);
  if (count <= 0) return absl::OkStatus();
  Statement& select = database.Use(
      "SELECT sequence, time_us, active_us, step, epoch, body, crc FROM events WHERE run = (SELECT id FROM runs WHERE run = ?1) AND sequence > ?2 "
      "ORDER BY sequence LIMIT ?3");
  select.BindBlob(stretch.run.bytes()).Bind(at).Bind(count);
  for (const Sequence end = at + count; at < end; ++at) {
    if (page.bytes >= limit.bytes_max && !page.events.empty()) page.full = true;
    if (page.full) break;
    if (!select.Step()) {
      RETURN_IF_ERROR(database.TakeError());
      return Missing(stretch.run, at + 1);
    }
    if (select.Integer(0) != at + 1) return Missing(stretch.run, at + 1);
    const auto size = static_cast<int64_t>(select.Bytes(5).size());
    if (!page.events.empty() && page.bytes + size > limit.bytes_max) {
      page.full = true;
      break;
    }
    page.bytes += size;
    ASSIGN_OR_RETURN(page.events.emplace_back(), ReadEvent(select, stretch.run));
  }
  select.Reset();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunRecord> SelectRun(Database& database, const RunId& run) {
  Statement& select = database.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS " FROM runs WHERE run = ?1");
  if (!select.BindBlob(run.bytes()).Step()) {
    RETURN_IF_ERROR(database.TakeError());
    return RunNotFound(run);
  }
  // SQLite does not compare again where its index has led it: one flipped bit there and another run is the answer.
  if (select.Bytes(kRunColumn) != run.bytes()) {
    select.Reset();
    return RunDamaged(run, "its index leads to another run");
  }
  absl::StatusOr<RunRecord> record = ReadRun(select);
  select.Reset();
  return record;
}

absl::StatusOr<std::vector<EventPtr>> SelectEvents(Database& database, const RunRecord& record, Sequence after, const ReadLimit& limit) {
  ASSIGN_OR_RETURN(const std::vector<Stretch> stretches, StretchesOf(database, record));
  Page page;
  for (const Stretch& stretch : stretches) {
    if (page.full) break;
    RETURN_IF_ERROR(Add(database, stretch, after + static_cast<Sequence>(page.events.size()), limit, page));
  }
  return std::move(page.events);
}

}  // namespace agentruntime::sqlite
