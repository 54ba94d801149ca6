#include "storage/sqlite/request.h"

#include "proto/base/planted_bug.h"
#include "storage/sqlite/deleted_runs.h"
#include "storage/sqlite/rows.h"

namespace agentruntime::sqlite {
namespace {

RunId RunAt(const Statement& statement, int column) { return RunId::FromBytes(statement.Bytes(column)).value_or(RunId()); }

// Of the row under a statement of AGENTRUNTIME_RUN_COLUMNS. The row decides, not the index that led to it: one flipped bit in either, and a retry would be
// told that its request id was used for another request, or be answered with another's run.
CreateOutcome OutcomeOf(Statement& select, absl::string_view tenant, absl::string_view request_id, absl::string_view request_hash) {
  using Kind = CreateOutcome::Kind;
  const RunId run = RunAt(select, kRunColumn);
  const bool whole = ReadRun(select).ok() && select.Bytes(kTenantColumn) == tenant && select.Bytes(kRequestIdColumn) == request_id;
  if (!whole) return {Kind::kDamaged, run};
  return {select.Bytes(kRequestHashColumn) == request_hash ? Kind::kExists : Kind::kReused, run};
}

}  // namespace

std::optional<CreateOutcome> SelectRequest(Database& database, absl::string_view tenant, absl::string_view request_id, absl::string_view request_hash) {
  if (request_id.empty() || IsPlanted(Bug::kForgetRequestId)) return std::nullopt;
  Statement& select = database.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS " FROM runs WHERE tenant = ?1 AND request_id = ?2 AND request_id <> ''");
  if (select.BindText(tenant).BindText(request_id).Step()) {
    const CreateOutcome outcome = OutcomeOf(select, tenant, request_id, request_hash);
    select.Reset();
    return outcome;
  }
  return SelectDeletedRequest(database, tenant, request_id);
}

}  // namespace agentruntime::sqlite
