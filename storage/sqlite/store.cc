#include "storage/sqlite/store.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "storage/sqlite/artifacts.h"
#include "storage/sqlite/journal.h"
#include "storage/sqlite/relations.h"
#include "storage/sqlite/request.h"
#include "storage/sqlite/rows.h"
#include "storage/sqlite/run_query.h"
#include "storage/sqlite/schema.h"

namespace agentruntime::sqlite {
namespace {

// What an item takes beside its events: rows of indexes, the projection.
constexpr int64_t kItemBytes = 512;

// A caller that breaks the interface's contract would break a journal.
void Require(bool holds, absl::string_view what, const RunId& run) {
  if (holds) return;
  Log(LogLevel::kError, "a caller broke the store's contract", {{"what", what}, {"run", run.ToString()}});
  FlushLog();
  std::abort();
}

int64_t FileBytes(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_size : 0;
}

int64_t FreeBytes(const std::string& path) {
  struct statvfs info;
  if (statvfs(std::filesystem::path(path).parent_path().c_str(), &info) != 0) return 0;
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

}  // namespace

SqliteStore::SqliteStore(std::shared_ptr<Core> core) : core_(std::move(core)) {}

SqliteStore::~SqliteStore() { core_->writer->Stop(); }

Epoch SqliteStore::epoch() const { return core_->epoch; }

const std::string& SqliteStore::id() const { return core_->id; }

Epoch SqliteStore::restored_epoch() const { return core_->restored_epoch; }

void SqliteStore::Create(NewRun run, CreateDone done) {
  Require(run.created != nullptr && (run.forked_from ? run.created->has_run_forked() : run.created->has_run_created()), "it begins with its own event", run.id);
  Require(run.created->sequence() == (run.forked_from ? run.forked_from->sequence : 0) + 1, "its first event follows what it shares", run.id);
  Require(run.projection.last_sequence == run.created->sequence(), "the projection is of that event", run.id);
  CreateItem create;
  create.event = MakeEventRow(run.id, *run.created);
  Require(static_cast<int64_t>(create.event.bytes.size()) <= kEventBytesMax, "an event is at most 1 MiB", run.id);
  create.state = MakeStateRow(std::move(run.projection));
  create.accepted = MakeAcceptedRow(std::move(run));
  create.done = std::move(done);
  auto item = std::make_unique<Item>();
  item->bytes = kItemBytes + static_cast<int64_t>(create.event.bytes.size() + create.accepted.labels_blob.size());
  item->what = std::move(create);
  core_->writer->Push(std::move(item));
}

absl::StatusOr<std::optional<CreateOutcome>> SqliteStore::FindRequest(const std::string& tenant, const std::string& request_id,
                                                                      const std::string& request_hash) {
  ASSIGN_OR_RETURN(Readers::Lease reader, core_->readers->Acquire());
  // One transaction: between two a run could move from the table of runs to that of deleted ones unseen.
  reader->Use("BEGIN").Run();
  const std::optional<CreateOutcome> known = SelectRequest(*reader, tenant, request_id, request_hash);
  RETURN_IF_ERROR(reader->TakeError());
  return known;
}

void SqliteStore::Append(AppendRequest request, AppendDone done) {
  Require(!request.events.empty(), "an append has an event", request.run);
  AppendItem append;
  append.run = request.run;
  append.epoch = request.epoch;
  append.expected_last_sequence = request.expected_last_sequence;
  append.done = std::move(done);
  append.events.reserve(request.events.size());
  int64_t bytes = kItemBytes;
  Sequence sequence = request.expected_last_sequence;
  for (const EventPtr& event : request.events) {
    Require(event->sequence() == ++sequence, "sequences follow the last one", request.run);
    const EventRow& row = append.events.emplace_back(MakeEventRow(request.run, *event));
    Require(static_cast<int64_t>(row.bytes.size()) <= kEventBytesMax, "an event is at most 1 MiB", request.run);
    bytes += kItemBytes + static_cast<int64_t>(row.bytes.size());
  }
  Require(request.projection.last_sequence == sequence, "the projection is of the last event", request.run);
  append.state = MakeStateRow(std::move(request.projection));
  std::vector<std::unique_ptr<Item>> items;
  for (const StagedArtifact& artifact : request.artifacts) {
    const auto size = static_cast<int64_t>(artifact.content->size());
    Require(artifact.number > 0 && size > 0 && size <= kArtifactBytesMax, "an artifact has a number and 1 byte to 16 MiB", request.run);
    append.artifacts.push_back(MakeHeadRow(request.run, request.epoch, artifact));
    bytes += kItemBytes;
    for (ChunkRow& row : MakeChunkRows(request.run, request.epoch, artifact)) {
      auto& item = items.emplace_back(std::make_unique<Item>());
      item->bytes = kItemBytes + static_cast<int64_t>(row.data().size());
      item->what = ChunkItem{request.run, request.epoch, request.expected_last_sequence, std::move(row)};
    }
  }
  auto& item = items.emplace_back(std::make_unique<Item>());
  item->bytes = bytes;
  item->what = std::move(append);
  core_->writer->Push(std::move(items));
}

void SqliteStore::Delete(const RunId& run, DeleteDone done) {
  auto item = std::make_unique<Item>();
  item->bytes = kItemBytes;
  item->what = DeleteItem{.run = run, .now = core_->clock.Now(), .done = [this, run, done = std::move(done)](absl::Status status) mutable {
                            if (status.ok()) core_->set_aside.Forget(run);
                            done(std::move(status));
                          }};
  core_->writer->Push(std::move(item));
}

absl::StatusOr<std::vector<EventPtr>> SqliteStore::ReadEvents(const RunId& run, Sequence after, ReadLimit limit) {
  ASSIGN_OR_RETURN(Readers::Lease reader, core_->readers->Acquire());
  // One transaction, so that the row and the events are of the same moment.
  reader->Use("BEGIN").Run();
  absl::StatusOr<RunRecord> record = SelectRun(*reader, run);
  if (record.ok()) {
    absl::StatusOr<std::vector<EventPtr>> events = SelectEvents(*reader, *record, after, limit);
    core_->set_aside.Note(run, events.status());
    return events;
  }
  core_->set_aside.Note(run, record.status());
  return std::move(record).status();
}

absl::StatusOr<ArtifactPiece> SqliteStore::ReadArtifact(const RunId& run, int32_t number, int64_t offset, int64_t bytes_max) {
  ASSIGN_OR_RETURN(Readers::Lease reader, core_->readers->Acquire());
  reader->Use("BEGIN").Run();  // head and chunks of the same moment
  return SelectArtifact(*reader, run, number, offset, bytes_max);
}

absl::StatusOr<std::vector<ArtifactRecord>> SqliteStore::ListArtifacts(const RunId& run) {
  std::vector<ArtifactRecord> records;
  std::optional<int32_t> after;
  for (;;) {
    // Given back after each page, and its transaction ends.
    ASSIGN_OR_RETURN(Readers::Lease reader, core_->readers->Acquire());
    reader->Use("BEGIN").Run();
    ASSIGN_OR_RETURN(std::vector<ArtifactRecord> page, SelectArtifacts(*reader, run, after, kReadRowsMax));
    const bool last = page.size() < static_cast<size_t>(kReadRowsMax);
    std::move(page.begin(), page.end(), std::back_inserter(records));
    if (last) return records;
    after = records.back().number;
  }
}

absl::StatusOr<RunRecord> SqliteStore::GetRun(const RunId& run) {
  ASSIGN_OR_RETURN(Readers::Lease reader, core_->readers->Acquire());
  absl::StatusOr<RunRecord> record = SelectRun(*reader, run);
  core_->set_aside.Note(run, record.status());
  return record;
}

absl::StatusOr<RunPage> SqliteStore::ListRuns(const RunQuery& query, const std::stop_token& stop) {
  return Search(*core_->readers, query, SearchBounds(), core_->set_aside, stop);
}

absl::StatusOr<std::vector<RunId>> SqliteStore::Conversation(const std::string& tenant, const std::string& conversation, int32_t limit) {
  ASSIGN_OR_RETURN(Readers::Lease reader, core_->readers->Acquire());
  return SelectConversation(*reader, tenant, conversation, limit);
}

absl::StatusOr<std::vector<UnfinishedRun>> SqliteStore::UnfinishedRuns(std::optional<RunId> after, int32_t limit) {
  ASSIGN_OR_RETURN(Readers::Lease reader, core_->readers->Acquire());
  return SelectUnfinished(*reader, after, limit, core_->set_aside);
}

absl::StatusOr<StoreInfo> SqliteStore::Info() {
  StoreInfo info;
  info.kind = "sqlite";
  info.id = core_->id;
  info.format = kFormat;
  // By their names: opening these files would, on closing them, drop SQLite's locks.
  const std::string& path = core_->claim.path();
  info.bytes = FileBytes(path) + FileBytes(path + "-wal");
  info.free_bytes = FreeBytes(path);
  const RunCounts counts = core_->writer->counts();
  info.queued = counts.queued;
  info.running = counts.running;
  info.waiting = counts.waiting;
  info.set_aside = core_->set_aside.count();
  return info;
}

bool SqliteStore::writable() const { return core_->writer->writable(); }

void SqliteStore::SetWritableListener(absl::AnyInvocable<void(bool)> listener) { core_->writer->SetWritableListener(std::move(listener)); }

}  // namespace agentruntime::sqlite
