#include "storage/sqlite/agent_store.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "storage/sqlite/agent_rows.h"

namespace agentruntime::sqlite {
namespace {

// One List: a page of the largest size, and one more that tells whether there are more.
constexpr int32_t kAgentsMax = kPageSizeMax + 1;

// What a revision keeps: the agent without what is output only. Agents have no maps, so equal content is equal bytes.
std::string Content(v1::Agent agent) {
  agent.clear_revision();
  agent.clear_etag();
  agent.clear_create_time();
  agent.clear_update_time();
  return agent.SerializeAsString();
}

// What the agent's row names as its newest revision, also where that is not there, and the agent's create time.
Statement& FindNewest(Database& database, absl::string_view id) {
  return database
      .Use(
          "SELECT a.agent, r.revision, r.created_us, r.content, r.crc, a.created_us FROM agents a LEFT JOIN agent_revisions r "
          "ON r.agent = a.agent AND r.revision = a.revision WHERE a.agent = ?1")
      .BindText(id);
}

// Runs name revisions: what is wrong with the agent's own row does not keep them from theirs.
Statement& FindRevision(Database& database, absl::string_view id, int32_t revision) {
  return database
      .Use(
          "SELECT r.agent, r.revision, r.created_us, r.content, r.crc, coalesce(a.created_us, r.created_us) FROM agent_revisions r LEFT JOIN agents a "
          "ON a.agent = r.agent WHERE r.agent = ?1 AND r.revision = ?2")
      .BindText(id)
      .Bind(int64_t{revision});
}

absl::StatusOr<v1::Agent> ReadAgent(Database& database, Statement& row) {
  ASSIGN_OR_RETURN(v1::Agent agent, ReadRevision(row));
  *agent.mutable_create_time() = ToProto(absl::FromUnixMicros(CreatedOf(database, row.Bytes(0), row.Integer(5))));
  return agent;
}

absl::StatusOr<v1::Agent> ReadNewest(Database& database, Statement& row) {
  RETURN_IF_ERROR(CheckNewest(database, row.Bytes(0), row.OptionalInteger(1)));
  return ReadAgent(database, row);
}

absl::StatusOr<v1::Agent> SelectAgent(Database& database, absl::string_view id, int32_t revision) {
  Statement& select = revision == 0 ? FindNewest(database, id) : FindRevision(database, id, revision);
  if (!select.Step()) {
    RETURN_IF_ERROR(database.TakeError());
    return AgentNotFound(revision == 0 ? FormatAgentName(id) : FormatRevisionName(id, revision));
  }
  // SQLite does not compare again where its index has led it: one flipped bit there and another agent is the answer.
  if (select.Bytes(0) != id) {
    select.Reset();
    return AgentDamaged(FormatAgentName(id), "its index leads to another agent");
  }
  absl::StatusOr<v1::Agent> agent = revision == 0 ? ReadNewest(database, select) : ReadAgent(database, select);
  select.Reset();
  RETURN_IF_ERROR(database.TakeError());
  return agent;
}

int64_t CountRevisions(Database& database, absl::string_view id) {
  Statement& count = database.Use("SELECT count(*) FROM agent_revisions WHERE agent = ?1").BindText(id);
  const int64_t revisions = count.Step() ? count.Integer(0) : 0;
  count.Reset();
  return revisions;
}

int64_t CountAgents(Database& database) {
  Statement& count = database.Use("SELECT count(*) FROM agents");
  const int64_t agents = count.Step() ? count.Integer(0) : 0;
  count.Reset();
  return agents;
}

// Behind every whole one and behind their number; where rows are damaged, what they say is not: a number that none of them has.
int64_t FreeRevision(Database& database, absl::string_view id, int64_t revisions) {
  int64_t revision = std::max(revisions, NewerRevision(database, id, 0).value_or(0)) + 1;
  for (;; ++revision) {
    Statement& taken = database.Use("SELECT 1 FROM agent_revisions WHERE agent = ?1 AND revision = ?2").BindText(id).Bind(revision);
    if (!taken.Step()) return revision;
    taken.Reset();
  }
}

// FAILED_PRECONDITION (RevisionsFull).
absl::Status InsertRevision(Database& database, absl::string_view id, absl::Time now, const std::string& content, const AgentBounds& bounds) {
  const int64_t revisions = CountRevisions(database, id);
  if (revisions >= bounds.revisions_max) return RevisionsFull(FormatAgentName(id), bounds.revisions_max);
  const int64_t revision = FreeRevision(database, id, revisions);
  const int64_t now_us = absl::ToUnixMicros(now);
  // Mends the row where it was damaged.
  Statement& known = database.Use("SELECT created_us FROM agents WHERE agent = ?1").BindText(id);
  const int64_t created_us = CreatedOf(database, id, known.Step() ? known.Integer(0) : now_us);
  known.Reset();
  database.Use("INSERT INTO agents (agent, revision, created_us) VALUES (?1, ?2, ?3) ON CONFLICT (agent) DO UPDATE SET revision = ?2, created_us = ?3")
      .BindText(id)
      .Bind(revision)
      .Bind(created_us)
      .Run();
  database.Use("INSERT INTO agent_revisions (agent, revision, created_us, content, crc) VALUES (?, ?, ?, ?, ?)")
      .BindText(id)
      .Bind(revision)
      .Bind(now_us)
      .BindBlob(content)
      .Bind(RevisionChecksum(id, revision, now_us, content))
      .Run();
  return absl::OkStatus();
}

// One write: what it needs and what came of it. Owned by the task, which may outlive the caller.
struct Write {
  std::string id;
  v1::Agent agent;
  bool may_create = false;
  bool may_update = false;
  AgentBounds bounds;
  absl::Time now;
  absl::Status status;
};

// Runs on the writer's thread within its transaction. An error of the database stays there; `status` is what the caller asked for in vain.
void Apply(Database& database, Write& write) {
  write.status = absl::OkStatus();
  const std::string content = Content(write.agent);
  Statement& newest = FindNewest(database, write.id);
  if (!newest.Step()) {
    if (database.failed()) return;
    if (!write.may_create) {
      write.status = AgentNotFound(FormatAgentName(write.id));
    } else if (CountAgents(database) >= write.bounds.agents_max) {
      write.status = AgentsFull(write.bounds.agents_max);
    } else {
      write.status = InsertRevision(database, write.id, write.now, content, write.bounds);
    }
    return;
  }
  // A damaged revision is not what is applied, even if its content is: it could never be read. One that is not the newest is nobody's etag either.
  const bool is_newest = newest.Bytes(0) == write.id && CheckNewest(database, write.id, newest.OptionalInteger(1)).ok();
  const bool same = is_newest && IsWhole(newest) && newest.Bytes(3) == content;
  const std::string etag = is_newest ? EtagOf(newest.Integer(1), newest.Integer(4)) : "";
  newest.Reset();
  if (database.failed()) return;
  if (!write.may_update) {
    write.status = AgentExists(FormatAgentName(write.id));
  } else if (!write.agent.etag().empty() && write.agent.etag() != etag) {
    write.status = EtagStale(FormatAgentName(write.id));
  } else if (!same) {
    write.status = InsertRevision(database, write.id, write.now, content, write.bounds);
  }
}

absl::StatusOr<v1::Agent> Run(Core& core, const v1::Agent& agent, bool may_create, bool may_update, absl::Time now, const AgentBounds& bounds) {
  const std::optional<AgentName> name = ParseAgentName(agent.name());
  if (!name || name->revision != 0) return InvalidField("agent.name", absl::StrCat("\"", agent.name(), "\" is not of the form agents/{agent}"));
  auto write = std::make_shared<Write>();  // shared: the task may still be queued when this returns
  write->id = name->agent;
  write->agent = agent;
  write->may_create = may_create;
  write->may_update = may_update;
  write->bounds = bounds;
  write->now = now;
  if (!core.writer->RunTask([write](Database& database) { Apply(database, *write); })) return StoreUnavailable("its disk is full or busy");
  if (!write->status.ok()) return std::move(write->status);
  ASSIGN_OR_RETURN(Readers::Lease reader, core.readers->Acquire());
  return SelectAgent(*reader, name->agent, 0);
}

}  // namespace

SqliteAgentStore::SqliteAgentStore(std::shared_ptr<Core> core, AgentBounds bounds) : core_(std::move(core)), bounds_(bounds) {}

absl::StatusOr<v1::Agent> SqliteAgentStore::Create(const v1::Agent& agent, absl::Time now) { return Run(*core_, agent, true, false, now, bounds_); }

absl::StatusOr<v1::Agent> SqliteAgentStore::Update(const v1::Agent& agent, bool allow_missing, absl::Time now) {
  return Run(*core_, agent, allow_missing, true, now, bounds_);
}

absl::StatusOr<v1::Agent> SqliteAgentStore::Get(absl::string_view agent_id, int32_t revision) {
  ASSIGN_OR_RETURN(Readers::Lease reader, core_->readers->Acquire());
  return SelectAgent(*reader, agent_id, revision);
}

absl::StatusOr<std::vector<v1::Agent>> SqliteAgentStore::List(absl::string_view after, int32_t limit) {
  ASSIGN_OR_RETURN(Readers::Lease reader, core_->readers->Acquire());
  const auto most = static_cast<size_t>(std::clamp(limit, 0, kAgentsMax));
  std::vector<v1::Agent> agents;
  size_t bytes = 0;
  const auto full = [&] { return agents.size() >= most || (agents.size() > 1 && bytes > kPageBytesMax); };
  int64_t left_out = 0;
  std::string why;
  // Damaged agents do not count, so that a page that is short is the last. Each statement is a transaction of its own, which ends after kReadRowsMax rows.
  int rows = kReadRowsMax;
  for (std::string last(after); !full() && rows == kReadRowsMax;) {
    Statement& select = reader->Use(
        "SELECT a.agent, r.revision, r.created_us, r.content, r.crc, a.created_us, own.agent FROM agents a JOIN agents own ON own.rowid = a.rowid "
        "LEFT JOIN agent_revisions r ON r.agent = a.agent AND r.revision = a.revision WHERE a.agent > ?1 ORDER BY a.agent LIMIT ?2");
    select.BindText(last).Bind(int64_t{kReadRowsMax});
    std::string seen;  // not `last` itself, which is bound
    for (rows = 0; !full() && select.Step(); ++rows) {
      seen = std::string(select.Bytes(0));
      // The first column is the index's word, the last is the row's: where they differ, another agent would be listed twice.
      absl::StatusOr<v1::Agent> agent =
          select.Bytes(6) == seen ? ReadNewest(*reader, select) : AgentDamaged(FormatAgentName(select.Bytes(6)), "its index names another agent");
      if (agent.ok()) {
        bytes += agent->ByteSizeLong();
        agents.push_back(*std::move(agent));
      } else if (left_out++ == 0) {
        why = std::string(agent.status().message());
      }
    }
    select.Reset();
    RETURN_IF_ERROR(reader->TakeError());
    last = std::move(seen);
  }
  // One line, however many: they may be most of a store, and lists are asked for again and again. agentd --doctor names each.
  if (left_out > 0) Log(LogLevel::kError, "damaged agents are left out of a list", {{"agents", left_out}, {"first", why}});
  return agents;
}

}  // namespace agentruntime::sqlite
