#include "storage/sqlite/epoch_check.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "proto/base/id.h"
#include "proto/base/status.h"
#include "proto/util/names.h"
#include "storage/sqlite/disk.h"
#include "storage/sqlite/rows.h"

namespace agentruntime::sqlite {
namespace {

// The newest event that is whole and names an epoch: nearly always the newest of all. `run` is set with it.
std::optional<EventPtr> NewestEvent(Database& database, RunId& run) {
  // The join goes along the events; among so many one is whole, or the file has more to tell than this.
  Statement newest(database,
                   "SELECT e.sequence, e.time_us, e.active_us, e.step, e.epoch, e.body, e.crc, r.run FROM events e CROSS JOIN runs r ON r.id = e.run "
                   "ORDER BY e.id DESC LIMIT 100");
  while (newest.Step()) {
    const std::optional<RunId> id = RunId::FromBytes(newest.Bytes(7));
    if (!id) continue;
    absl::StatusOr<EventPtr> event = ReadEvent(newest, *id);
    if (!event.ok() || (*event)->epoch() == 0) continue;
    run = *id;
    return *std::move(event);
  }
  return std::nullopt;
}

}  // namespace

absl::Status CheckEpoch(Database& database, absl::string_view path) {
  const int64_t epoch = database.Query("SELECT epoch FROM server");
  const int64_t restored = database.Query("SELECT restored_epoch FROM server");
  if (database.failed()) return OpenError(database, path);
  RunId run;
  const std::optional<EventPtr> newest = NewestEvent(database, run);
  // A page that cannot be read is the damage of what lies there, and is told by whoever reads that.
  if (IsDamage(database.error())) database.ClearError();
  if (database.failed()) return OpenError(database, path);
  if (newest && (*newest)->epoch() > epoch) {
    return absl::DataLossError(absl::StrCat(path, ": is damaged (its last epoch reads ", epoch, ", and event ", (*newest)->sequence(), " of ", RunName(run),
                                            " was written in epoch ", (*newest)->epoch(),
                                            "); restore it from a backup, or, if agentd --doctor finds nothing else, set it right with the sqlite3 shell: "
                                            "UPDATE server SET epoch = ",
                                            (*newest)->epoch()));
  }
  if (restored < 0 || restored > epoch) {
    return absl::DataLossError(absl::StrCat(path, ": is damaged (it reads as restored in epoch ", restored, ", and its last epoch is ", epoch,
                                            "); restore it from a backup, or, if agentd --doctor finds nothing else, set it with the sqlite3 shell: UPDATE "
                                            "server SET restored_epoch = epoch; what is unfinished then waits for a person"));
  }
  return absl::OkStatus();
}

}  // namespace agentruntime::sqlite
