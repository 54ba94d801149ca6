#include "storage/sqlite/deleted_runs.h"

#include "absl/strings/str_cat.h"
#include "proto/util/names.h"
#include "storage/sqlite/checksum.h"
#include "storage/sqlite/rows.h"

namespace agentruntime::sqlite {
namespace {

// How long the request id of a deleted run is remembered. Promised: at least 24 h.
constexpr absl::Duration kTombstoneAge = absl::Hours(24);

#define AGENTRUNTIME_DELETED_COLUMNS "run, tenant, request_id, request_hash, deleted_us, crc"
enum Column { kRun, kTenant, kRequestId, kRequestHash, kDeleted, kCrc };

int64_t SumOf(absl::string_view run, absl::string_view tenant, absl::string_view request_id, absl::string_view request_hash, int64_t deleted_us) {
  Checksum checksum;
  for (const absl::string_view bytes : {run, tenant, request_id, request_hash}) checksum.Add(bytes);
  checksum.Add(deleted_us);
  return checksum.value();
}

// Of the row under the statement. One of an older format has no sum and is taken as it is.
bool IsWhole(Statement& row) {
  return row.IsNull(kCrc) ||
         row.Integer(kCrc) == SumOf(row.Bytes(kRun), row.Bytes(kTenant), row.Bytes(kRequestId), row.Bytes(kRequestHash), row.Integer(kDeleted));
}

RunId RunOf(Statement& row) { return RunId::FromBytes(row.Bytes(kRun)).value_or(RunId()); }

}  // namespace

void KeepDeleted(Database& database, Statement& run, absl::Time now) {
  database.Use("DELETE FROM deleted_runs WHERE rowid IN (SELECT rowid FROM deleted_runs WHERE deleted_us < ?1 LIMIT 100)")
      .Bind(absl::ToUnixMicros(now - kTombstoneAge))
      .Run();
  const int64_t deleted_us = absl::ToUnixMicros(now);
  const int64_t sum = SumOf(run.Bytes(kRunColumn), run.Bytes(kTenantColumn), run.Bytes(kRequestIdColumn), run.Bytes(kRequestHashColumn), deleted_us);
  database.Use("INSERT OR REPLACE INTO deleted_runs (" AGENTRUNTIME_DELETED_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?)")
      .BindBlob(run.Bytes(kRunColumn))
      .BindText(run.Bytes(kTenantColumn))
      .BindText(run.Bytes(kRequestIdColumn))
      .BindBlob(run.Bytes(kRequestHashColumn))
      .Bind(deleted_us)
      .Bind(ReadRun(run).ok() ? sum : ~sum)
      .Run();
}

std::optional<CreateOutcome> SelectDeletedRequest(Database& database, absl::string_view tenant, absl::string_view request_id) {
  // The tenant and the request id come from the index, the others from the row: the sum fits only if both are of one run.
  Statement& kept = database.Use("SELECT " AGENTRUNTIME_DELETED_COLUMNS " FROM deleted_runs WHERE tenant = ?1 AND request_id = ?2 AND request_id <> ''");
  if (!kept.BindText(tenant).BindText(request_id).Step()) return std::nullopt;
  const CreateOutcome outcome{IsWhole(kept) ? CreateOutcome::Kind::kDeleted : CreateOutcome::Kind::kDamaged, RunOf(kept)};
  kept.Reset();
  return outcome;
}

std::vector<std::string> DeletedRunFaults(Database& database, size_t lines_max) {
  std::vector<std::string> faults;
  Statement& kept = database.Use("SELECT " AGENTRUNTIME_DELETED_COLUMNS " FROM deleted_runs NOT INDEXED");
  while (faults.size() < lines_max && kept.Step()) {
    if (IsWhole(kept)) continue;
    faults.push_back(absl::StrCat(RunName(RunOf(kept)),
                                  ": what is kept of it since it was deleted, to answer retries of its request, is damaged; such a retry is ",
                                  "refused, and needs another request_id"));
  }
  kept.Reset();
  if (database.failed()) faults.emplace_back(database.TakeError().message());
  return faults;
}

}  // namespace agentruntime::sqlite
