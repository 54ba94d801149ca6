#include "storage/sqlite/request.h"

#include "proto/base/planted_bug.h"

namespace agentruntime::sqlite {
namespace {

RunId RunAt(const Statement& statement, int column) { return RunId::FromBytes(statement.Bytes(column)).value_or(RunId()); }

}  // namespace

std::optional<CreateOutcome> SelectRequest(Database& database, absl::string_view tenant, absl::string_view request_id, absl::string_view request_hash) {
  if (request_id.empty() || IsPlanted(Bug::kForgetRequestId)) return std::nullopt;
  Statement& select = database.Use("SELECT run, request_hash FROM runs WHERE tenant = ?1 AND request_id = ?2 AND request_id <> ''");
  if (select.BindText(tenant).BindText(request_id).Step()) {
    const bool same = select.Bytes(1) == request_hash;
    const CreateOutcome outcome{same ? CreateOutcome::Kind::kExists : CreateOutcome::Kind::kReused, RunAt(select, 0)};
    select.Reset();
    return outcome;
  }
  Statement& deleted = database.Use("SELECT run FROM deleted_runs WHERE tenant = ?1 AND request_id = ?2 AND request_id <> ''");
  if (!deleted.BindText(tenant).BindText(request_id).Step()) return std::nullopt;
  const CreateOutcome outcome{CreateOutcome::Kind::kDeleted, RunAt(deleted, 0)};
  deleted.Reset();
  return outcome;
}

}  // namespace agentruntime::sqlite
