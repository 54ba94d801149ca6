#include "storage/sqlite/relations.h"

#include <algorithm>

#include "proto/base/status.h"
#include "storage/sqlite/readers.h"

namespace agentruntime::sqlite {
namespace {

std::optional<RunId> FirstRun(Statement& select) {
  std::optional<RunId> run;
  if (select.Step()) run = RunId::FromBytes(select.Bytes(0));
  select.Reset();
  return run;
}

}  // namespace

std::optional<RunId> AnyForkOf(Database& database, const RunId& run) {
  return FirstRun(database.Use("SELECT run FROM runs WHERE base = ?1 LIMIT 1").BindBlob(run.bytes()));
}

std::optional<RunId> ActiveOfConversation(Database& database, absl::string_view tenant, absl::string_view conversation) {
  return FirstRun(
      database.Use("SELECT run FROM runs WHERE tenant = ?1 AND conversation = ?2 AND state <> 'STOPPED' LIMIT 1").BindText(tenant).BindText(conversation));
}

std::optional<RunId> LastOfConversation(Database& database, absl::string_view tenant, absl::string_view conversation) {
  return FirstRun(
      database.Use("SELECT run FROM runs WHERE tenant = ?1 AND conversation = ?2 ORDER BY id DESC LIMIT 1").BindText(tenant).BindText(conversation));
}

absl::StatusOr<std::vector<RunId>> SelectConversation(Database& database, absl::string_view tenant, absl::string_view conversation, int32_t limit) {
  std::vector<RunId> runs;
  Statement& select = database.Use("SELECT run FROM runs WHERE tenant = ?1 AND conversation = ?2 ORDER BY id DESC LIMIT ?3");
  select.BindText(tenant).BindText(conversation).Bind(int64_t{std::min(limit, kReadRowsMax)});
  while (select.Step()) runs.push_back(RunId::FromBytes(select.Bytes(0)).value_or(RunId()));
  RETURN_IF_ERROR(database.TakeError());
  return runs;
}

}  // namespace agentruntime::sqlite
