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

bool IsWhole(Statement& row) { return !row.IsNull(1) && RevisionChecksum(row.Bytes(0), row.Integer(1), row.Integer(2), row.Bytes(3)) == row.Integer(4); }

absl::StatusOr<v1::Agent> ReadAgent(Statement& row) {
  const absl::string_view id = row.Bytes(0);
  if (row.IsNull(1)) return AgentDamaged(FormatAgentName(id), "the newest revision that its row names is not there");
  const int64_t revision = row.Integer(1);
  const absl::string_view content = row.Bytes(3);
  v1::Agent agent;
  if (!IsWhole(row) || !agent.ParseFromArray(content.data(), static_cast<int>(content.size()))) {
    return AgentDamaged(absl::StrCat(FormatAgentName(id), "/revisions/", revision), "its checksum does not fit");
  }
  agent.set_revision(FormatRevisionName(id, static_cast<int32_t>(revision)));
  agent.set_etag(EtagOf(revision, row.Integer(4)));
  *agent.mutable_create_time() = ToProto(absl::FromUnixMicros(row.Integer(5)));
  *agent.mutable_update_time() = ToProto(absl::FromUnixMicros(row.Integer(2)));
  return agent;
}

}  // namespace agentruntime::sqlite
