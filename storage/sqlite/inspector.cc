#include "storage/sqlite/inspector.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "storage/sqlite/agent_rows.h"
#include "storage/sqlite/artifacts.h"
#include "storage/sqlite/database.h"
#include "storage/sqlite/deleted_runs.h"
#include "storage/sqlite/journal.h"
#include "storage/sqlite/schema.h"

namespace agentruntime::sqlite {
namespace {

constexpr int64_t kCacheBytes = 4 << 20;
constexpr int kRunsAtOnce = 1000;  // one read transaction
constexpr int64_t kPieceBytes = 1 << 20;

absl::Status CheckCurrentFormat(Database& database, const std::string& path) {
  RETURN_IF_ERROR(CheckFormat(database, path));
  const int64_t format = database.Query("PRAGMA user_version");
  if (database.failed()) return OpenError(database, path);
  if (format == kFormat) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(path, ": has format ", format, ", and this server looks through format ", kFormat,
                                                    "; let the server that wrote it look, or start this one on a copy, which renews the copy's format"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Inspector>> Inspector::Open(const std::string& path) {
  ASSIGN_OR_RETURN(FileClaim claim, FileClaim::MakeExisting(path));
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open({.path = claim.path(), .read_only = true, .cache_bytes = kCacheBytes}));
  RETURN_IF_ERROR(OrFolderNotWritable(CheckCurrentFormat(*database, claim.path()), claim.path()));
  return std::unique_ptr<Inspector>(new Inspector(std::move(claim), std::move(database)));
}

Inspector::Inspector(FileClaim claim, std::unique_ptr<Database> database) : claim_(std::move(claim)), database_(std::move(database)) {}

Inspector::~Inspector() = default;

void Inspector::Settle() {
  database_->ClearError();
  database_->Rollback();
  database_->ClearError();
}

void Inspector::Count(const char* sql, absl::string_view what, std::vector<std::string>& faults) {
  const int64_t count = database_->Query(sql);
  if (count > 0) faults.push_back(absl::StrCat(what, ": ", count));
  if (database_->failed()) faults.emplace_back(database_->TakeError().message());
}

std::vector<std::string> Inspector::FileFaults() {
  std::vector<std::string> faults;
  {
    Statement check(*database_, absl::StrCat("PRAGMA integrity_check(", kFileFaultsMax, ")").c_str());
    while (check.Step()) {
      // One row may hold several lines.
      for (const absl::string_view line : absl::StrSplit(check.Bytes(0), '\n', absl::SkipEmpty())) {
        if (line != "ok" && faults.size() < kFileFaultsMax) faults.emplace_back(line);
      }
    }
    if (database_->failed()) faults.emplace_back(database_->TakeError().message());
  }
  Count("SELECT count(*) = 0 FROM server WHERE epoch > 0 AND length(id) > 0 AND restored_epoch BETWEEN 0 AND epoch",
        "rows that name the store and its epochs, missing or damaged", faults);
  Count("SELECT count(*) FROM events WHERE epoch > (SELECT epoch FROM server)", "events of an epoch that the store's own row has not come to", faults);
  Count("SELECT count(*) FROM runs WHERE epoch > (SELECT epoch FROM server)", "runs of an epoch that the store's own row has not come to", faults);
  Count("SELECT count(*) FROM events WHERE run NOT IN (SELECT id FROM runs)", "events without a run", faults);
  Count("SELECT count(*) FROM artifacts WHERE run NOT IN (SELECT run FROM runs)", "artifacts without a run", faults);
  CountStrayLabels(faults);
  for (std::string& fault : DeletedRunFaults(*database_, kFileFaultsMax)) faults.push_back(std::move(fault));
  return faults;
}

void Inspector::CountStrayLabels(std::vector<std::string>& faults) {
  int64_t stray = 0;
  Statement& rows = database_->Use("SELECT l.tenant, l.key, l.value, r.tenant, r.labels FROM run_labels l LEFT JOIN runs r ON r.run = l.run");
  while (rows.Step()) {
    v1::RunCreated accepted;
    const absl::string_view labels = rows.Bytes(4);
    bool found = !rows.IsNull(3) && rows.Bytes(0) == rows.Bytes(3) && accepted.ParseFromArray(labels.data(), static_cast<int>(labels.size()));
    if (found) {
      const auto label = accepted.labels().find(std::string(rows.Bytes(1)));
      found = label != accepted.labels().end() && label->second == rows.Bytes(2);
    }
    if (!found) ++stray;
  }
  if (stray > 0) faults.push_back(absl::StrCat("labels that no run has: ", stray));
  if (database_->failed()) faults.emplace_back(database_->TakeError().message());
}

std::vector<std::string> Inspector::AgentFaults() {
  std::vector<std::string> faults;
  const auto add = [&faults](const absl::Status& status) {
    if (!status.ok()) faults.emplace_back(status.message());
  };
  Statement& revisions = database_->Use("SELECT agent, revision, created_us, content, crc FROM agent_revisions ORDER BY agent, revision");
  while (revisions.Step()) add(ReadRevision(revisions).status());
  add(database_->TakeError());
  Statement& own = database_->Use(
      "SELECT a.agent, r.revision, a.created_us FROM agents a LEFT JOIN agent_revisions r ON r.agent = a.agent AND r.revision = a.revision ORDER BY a.agent");
  while (own.Step()) {
    add(CheckNewest(*database_, own.Bytes(0), own.OptionalInteger(1)));
    if (CreatedOf(*database_, own.Bytes(0), own.Integer(2)) != own.Integer(2)) {
      faults.push_back(
          absl::StrCat(FormatAgentName(own.Bytes(0)),
                       ": the create time in its row is not that of its first revision, which is the one that is served; its next revision mends it"));
    }
  }
  add(database_->TakeError());
  Statement& used = database_->Use(
      "SELECT DISTINCT agent, revision FROM runs WHERE (agent, revision) NOT IN (SELECT agent, revision FROM agent_revisions) ORDER BY agent, revision");
  while (used.Step()) add(AgentDamaged(FormatRevisionName(used.Bytes(0), static_cast<int32_t>(used.Integer(1))), "runs use it and it is not there"));
  add(database_->TakeError());
  return faults;
}

absl::StatusOr<std::vector<RunId>> Inspector::NextRuns(int64_t& unreadable) {
  std::vector<RunId> runs;
  while (runs.empty()) {
    int rows = 0;
    Statement& next = database_->Use("SELECT id, run FROM runs NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?").Bind(last_row_).Bind(int64_t{kRunsAtOnce});
    for (; next.Step(); ++rows) {
      last_row_ = next.Integer(0);
      if (const auto run = RunId::FromBytes(next.Bytes(1))) {
        runs.push_back(*run);
      } else {
        ++unreadable;
      }
    }
    RETURN_IF_ERROR(database_->TakeError());
    if (rows == 0) break;
  }
  return runs;
}

std::vector<std::string> Inspector::LabelFaults(const RunId& run) {
  std::vector<std::string> faults;
  const absl::StatusOr<RunRecord> record = GetRun(run);
  if (!record.ok()) return faults;  // which is what is told of it
  std::map<std::string, std::string> labels = record->labels;
  const absl::StatusOr<std::vector<EventPtr>> first = ReadEvents(run, record->forked_from ? record->forked_from->sequence : 0, {.events_max = 1});
  if (first.ok() && !first->empty()) {
    const v1::Event& event = *first->front();
    const auto& accepted = record->forked_from ? event.run_forked().labels() : event.run_created().labels();
    labels = {accepted.begin(), accepted.end()};
    if (labels != record->labels) faults.push_back(absl::StrCat(RunName(run), ": its row has other labels than its first event; restore a backup"));
  }
  for (const auto& [key, value] : labels) {
    Statement& select = database_->Use("SELECT 1 FROM run_labels WHERE tenant = ?1 AND key = ?2 AND value = ?3 AND run = ?4");
    const bool found = select.BindText(record->tenant).BindText(key).BindText(value).BindBlob(run.bytes()).Step();
    select.Reset();
    if (database_->failed()) {
      faults.push_back(absl::StrCat(RunName(run), ": its labels cannot be looked up: ", std::string(database_->TakeError().message())));
    } else if (!found) {
      faults.push_back(absl::StrCat(RunName(run), ": its label ", key, "=", value, " is missing where lists look, which leave the run out; restore a backup"));
    }
  }
  return faults;
}

absl::StatusOr<std::set<int32_t>> Inspector::ArtifactNumbers(const RunId& run) {
  std::set<int32_t> numbers;
  Statement& select = database_->Use("SELECT number FROM artifacts WHERE run = ?1").BindBlob(run.bytes());
  while (select.Step()) numbers.insert(static_cast<int32_t>(select.Integer(0)));
  RETURN_IF_ERROR(database_->TakeError());
  return numbers;
}

std::vector<std::string> Inspector::ArtifactFaults(const RunId& run, int32_t last) {
  std::vector<std::string> faults;
  auto numbers = ArtifactNumbers(run);
  if (!numbers.ok()) faults.push_back(absl::StrCat(RunName(run), ": its artifacts cannot be listed: ", std::string(numbers.status().message())));
  std::set<int32_t> all = numbers.ok() ? *std::move(numbers) : std::set<int32_t>();
  for (int32_t number = 1; number <= last; ++number) all.insert(number);
  for (const int32_t number : all) {
    for (int64_t offset = 0;;) {
      const auto piece = SelectArtifact(*database_, run, number, offset, kPieceBytes);
      if (!piece.ok()) {
        const absl::Status status = absl::IsNotFound(piece.status()) ? ArtifactDamaged(run, number, "it is not there") : piece.status();
        faults.push_back(absl::StrCat(FormatArtifactName(run, number), ": ", std::string(status.message())));
        Settle();
        break;
      }
      if (piece->data.empty()) break;
      offset += static_cast<int64_t>(piece->data.size());
    }
  }
  return faults;
}

absl::StatusOr<RunRecord> Inspector::GetRun(const RunId& run) {
  absl::StatusOr<RunRecord> record = SelectRun(*database_, run);
  Settle();
  return record;
}

absl::StatusOr<std::vector<EventPtr>> Inspector::ReadEvents(const RunId& run, Sequence after, ReadLimit limit) {
  absl::StatusOr<RunRecord> record = SelectRun(*database_, run);
  absl::StatusOr<std::vector<EventPtr>> events =
      record.ok() ? SelectEvents(*database_, *record, after, limit) : absl::StatusOr<std::vector<EventPtr>>(std::move(record).status());
  Settle();
  return events;
}

}  // namespace agentruntime::sqlite
