#include "storage/sqlite/agent_rows.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "storage/sqlite/checksum.h"

namespace agentruntime::sqlite {

std::string EtagOf(int64_t revision, int64_t crc) { return absl::StrFormat("%d-%08x", revision, crc); }

int64_t RevisionChecksum(absl::string_view agent, int64_t revision, int64_t created_us, absl::string_view content) {
  Checksum checksum;
  checksum.Add(agent);
  checksum.Add(revision);
  checksum.Add(created_us);
  checksum.Add(content);
  return checksum.value();
}

bool IsWhole(Statement& row) { return RevisionChecksum(row.Bytes(0), row.Integer(1), row.Integer(2), row.Bytes(3)) == row.Integer(4); }

absl::StatusOr<v1::Agent> ReadRevision(Statement& row) {
  const absl::string_view id = row.Bytes(0);
  const int64_t revision = row.Integer(1);
  const absl::string_view content = row.Bytes(3);
  v1::Agent agent;
  if (!IsWhole(row) || !agent.ParseFromArray(content.data(), static_cast<int>(content.size()))) {
    return AgentDamaged(absl::StrCat(FormatAgentName(id), "/revisions/", revision), "its checksum does not fit");
  }
  agent.set_revision(FormatRevisionName(id, static_cast<int32_t>(revision)));
  agent.set_etag(EtagOf(revision, row.Integer(4)));
  *agent.mutable_update_time() = ToProto(absl::FromUnixMicros(row.Integer(2)));
  return agent;
}

std::optional<int64_t> NewerRevision(Database& database, absl::string_view agent, int64_t revision) {
  Statement& newer =
      database.Use("SELECT agent, revision, created_us, content, crc FROM agent_revisions WHERE agent = ?1 AND revision > ?2 ORDER BY revision DESC");
  newer.BindText(agent).Bind(revision);
  while (newer.Step()) {
    if (!IsWhole(newer)) continue;
    const int64_t found = newer.Integer(1);
    newer.Reset();
    return found;
  }
  return std::nullopt;
}

absl::Status CheckNewest(Database& database, absl::string_view agent, std::optional<int64_t> revision) {
  if (!revision) return AgentDamaged(FormatAgentName(agent), "the newest revision that its row names is not there");
  const std::optional<int64_t> newer = NewerRevision(database, agent, *revision);
  if (!newer) return absl::OkStatus();
  return AgentDamaged(FormatAgentName(agent), absl::StrCat("its row names revision ", *revision, " as the newest, and there is ", *newer));
}

int64_t CreatedOf(Database& database, absl::string_view agent, int64_t in_row) {
  Statement& first = database.Use("SELECT agent, revision, created_us, content, crc FROM agent_revisions WHERE agent = ?1 AND revision = 1");
  int64_t created_us = in_row;
  // Two places that say the same are right; only else is the content read, for its checksum.
  if (first.BindText(agent).Step() && first.Integer(2) != in_row && IsWhole(first)) created_us = first.Integer(2);
  first.Reset();
  return created_us;
}

}  // namespace agentruntime::sqlite
