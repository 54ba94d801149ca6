#include "tests/simulation/store.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "proto/util/errors.h"
#include "storage/unfinished_run.h"
#include "tests/simulation/store_core.h"

namespace agentruntime::simulation {

namespace {

constexpr size_t kChunkBytes = 16 << 10;

// Takes a contract broken by its caller for a bug.
void Require(bool holds) {
  if (!holds) std::abort();
}

absl::Status Gone() { return absl::UnavailableError("the process has ended"); }

// As a store counts that keeps the envelope in columns.
int64_t BodyBytes(const v1::Event& event) {
  v1::Event envelope;
  envelope.set_sequence(event.sequence());
  *envelope.mutable_time() = event.time();
  envelope.set_active_us(event.active_us());
  envelope.set_step(event.step());
  envelope.set_epoch(event.epoch());
  return static_cast<int64_t>(event.ByteSizeLong() - envelope.ByteSizeLong());
}

}  // namespace

SimulatedStore::SimulatedStore(Disk& disk, Commits& commits, Timers& timers, boost::asio::any_io_executor executor, const Opening& opening)
    : core_(std::make_shared<Core>(disk, commits, timers, std::move(executor), opening)) {}

SimulatedStore::~SimulatedStore() { core_->Close(); }

void SimulatedStore::Disconnect(bool finish) { core_->Disconnect(finish); }

void SimulatedStore::Finish() { core_->Close(); }

void SimulatedStore::GiveUp() { core_->SetWritable(false); }

Epoch SimulatedStore::epoch() const { return core_->epoch; }

const std::string& SimulatedStore::id() const { return core_->id; }

Epoch SimulatedStore::restored_epoch() const { return core_->restored_epoch; }

void SimulatedStore::Create(NewRun run, CreateDone done) {
  Require(run.created != nullptr && (run.forked_from ? run.created->has_run_forked() : run.created->has_run_created()));
  Require(run.created->sequence() == (run.forked_from ? run.forked_from->sequence : 0) + 1 && run.projection.last_sequence == run.created->sequence());
  core_->commits.Queued(run);
  std::vector<std::unique_ptr<Item>> items;
  items.push_back(ItemOf(CreateItem{.run = std::move(run), .done = std::move(done)}));
  core_->Push(std::move(items));
}

void SimulatedStore::Append(AppendRequest request, AppendDone done) {
  Require(!request.events.empty());
  Sequence sequence = request.expected_last_sequence;
  for (const EventPtr& event : request.events) Require(event->sequence() == ++sequence);
  Require(request.projection.last_sequence == sequence);
  core_->commits.Queued(request);
  std::vector<std::unique_ptr<Item>> items;
  for (const StagedArtifact& artifact : request.artifacts) {
    Require(artifact.number > 0 && !artifact.content->empty());
    for (size_t at = 0; at < artifact.content->size(); at += kChunkBytes) {
      items.push_back(ItemOf(
          ChunkItem{request.run, request.epoch, request.expected_last_sequence, artifact.number, at / kChunkBytes, artifact.content->substr(at, kChunkBytes)}));
    }
  }
  items.push_back(ItemOf(AppendItem{.request = std::move(request), .done = std::move(done)}));
  core_->Push(std::move(items));
}

void SimulatedStore::Delete(const RunId& run, DeleteDone done) {
  std::vector<std::unique_ptr<Item>> items;
  items.push_back(ItemOf(DeleteItem{.run = run, .done = std::move(done)}));
  core_->Push(std::move(items));
}

absl::StatusOr<std::optional<CreateOutcome>> SimulatedStore::FindRequest(const std::string& tenant, const std::string& request_id,
                                                                         const std::string& request_hash) {
  MutexLock lock(core_->mu);
  if (!core_->connected) return Gone();
  if (core_->commits.ReadIsRefused()) return absl::ResourceExhaustedError("other reads take too long");
  MutexLock disk_lock(core_->disk.mu);
  return KnownRequest(core_->disk, tenant, request_id, request_hash);
}

absl::StatusOr<std::vector<EventPtr>> SimulatedStore::ReadEvents(const RunId& run, Sequence after, ReadLimit limit) {
  MutexLock lock(core_->mu);
  if (!core_->connected) return Gone();
  MutexLock disk_lock(core_->disk.mu);
  const auto at = core_->disk.runs.find(run);
  if (at == core_->disk.runs.end()) return RunNotFound(run);
  std::vector<EventPtr> events;
  int64_t bytes = 0;
  for (Sequence next = std::max<Sequence>(after, 0) + 1; next <= at->second.last() && static_cast<int32_t>(events.size()) < limit.events_max; ++next) {
    EventPtr event = ParseEvent(EventOf(core_->disk, &at->second, next));
    bytes += BodyBytes(*event);
    if (!events.empty() && bytes > limit.bytes_max) break;
    events.push_back(std::move(event));
  }
  return events;
}

absl::StatusOr<ArtifactPiece> SimulatedStore::ReadArtifact(const RunId& run, int32_t number, int64_t offset, int64_t bytes_max) {
  MutexLock lock(core_->mu);
  if (!core_->connected) return Gone();
  MutexLock disk_lock(core_->disk.mu);
  const auto at = core_->disk.runs.find(run);
  if (at == core_->disk.runs.end()) return RunNotFound(run);
  const auto artifact = at->second.artifacts.find(number);
  if (artifact == at->second.artifacts.end()) return ArtifactNotFound(run, number);
  ArtifactPiece piece;
  piece.total_bytes = artifact->second.record.bytes;
  if (offset < 0 || offset > piece.total_bytes) return OffsetBeyondEnd(run, number, offset, piece.total_bytes);
  for (const std::string& chunk : core_->disk.chunks[{run, number, artifact->second.epoch}]) piece.data += chunk;
  if (static_cast<int64_t>(piece.data.size()) != piece.total_bytes) return ArtifactDamaged(run, number, "a piece is missing");
  piece.data = piece.data.substr(static_cast<size_t>(offset), static_cast<size_t>(std::max<int64_t>(bytes_max, 1)));
  return piece;
}

absl::StatusOr<std::vector<ArtifactRecord>> SimulatedStore::ListArtifacts(const RunId& run) {
  MutexLock lock(core_->mu);
  if (!core_->connected) return Gone();
  MutexLock disk_lock(core_->disk.mu);
  const auto at = core_->disk.runs.find(run);
  if (at == core_->disk.runs.end()) return RunNotFound(run);
  std::vector<ArtifactRecord> records;
  for (const auto& [number, artifact] : at->second.artifacts) records.push_back(artifact.record);
  return records;
}

absl::StatusOr<RunRecord> SimulatedStore::GetRun(const RunId& run) {
  MutexLock lock(core_->mu);
  if (!core_->connected) return Gone();
  MutexLock disk_lock(core_->disk.mu);
  const auto at = core_->disk.runs.find(run);
  if (at == core_->disk.runs.end()) return RunNotFound(run);
  return at->second.record;
}

absl::StatusOr<RunPage> SimulatedStore::ListRuns(const RunQuery& query, const std::stop_token& stop) {
  if (stop.stop_requested()) return absl::CancelledError("nobody waits for these runs any more");
  MutexLock lock(core_->mu);
  if (!core_->connected) return Gone();
  MutexLock disk_lock(core_->disk.mu);
  std::vector<const RunRecord*> found;
  for (const auto& [id, row] : core_->disk.runs) {
    if (query.after && (query.oldest_first ? id <= *query.after : id >= *query.after)) continue;
    if (Matches(row.record, query)) found.push_back(&row.record);
  }
  if (!query.oldest_first) std::reverse(found.begin(), found.end());
  RunPage page;
  page.more = static_cast<int64_t>(found.size()) > query.limit;
  for (const RunRecord* record : found) {
    if (static_cast<int32_t>(page.runs.size()) < query.limit) page.runs.push_back(*record);
  }
  return page;
}

absl::StatusOr<std::vector<RunId>> SimulatedStore::Conversation(const std::string& tenant, const std::string& conversation, int32_t limit) {
  MutexLock lock(core_->mu);
  if (!core_->connected) return Gone();
  MutexLock disk_lock(core_->disk.mu);
  std::vector<const DiskRun*> found = RunsOf(core_->disk, tenant, conversation);
  std::sort(found.begin(), found.end(), [](const DiskRun* a, const DiskRun* b) { return a->number > b->number; });
  std::vector<RunId> runs;
  for (const DiskRun* row : found) {
    if (static_cast<int32_t>(runs.size()) < limit) runs.push_back(row->record.id);
  }
  return runs;
}

absl::StatusOr<std::vector<UnfinishedRun>> SimulatedStore::UnfinishedRuns(std::optional<RunId> after, int32_t limit) {
  MutexLock lock(core_->mu);
  if (!core_->connected) return Gone();
  MutexLock disk_lock(core_->disk.mu);
  std::vector<UnfinishedRun> runs;
  for (auto at = after ? core_->disk.runs.upper_bound(*after) : core_->disk.runs.begin(); at != core_->disk.runs.end(); ++at) {
    const RunProjection& projection = at->second.record.projection;
    if (static_cast<int32_t>(runs.size()) >= limit) break;
    if (projection.state != v1::RUN_STATE_STOPPED) runs.push_back(UnfinishedOf(at->second.record, at->second.epoch));
  }
  return runs;
}

absl::StatusOr<StoreInfo> SimulatedStore::Info() {
  MutexLock lock(core_->mu);
  if (!core_->connected) return Gone();
  MutexLock disk_lock(core_->disk.mu);
  StoreInfo info;
  info.kind = "simulated";
  info.id = core_->id;
  info.format = 1;
  info.bytes = info.free_bytes = 1 << 20;
  for (const auto& [id, row] : core_->disk.runs) {
    if (row.record.projection.state == v1::RUN_STATE_QUEUED) ++info.queued;
    if (row.record.projection.state == v1::RUN_STATE_RUNNING) ++info.running;
    if (row.record.projection.state == v1::RUN_STATE_WAITING) ++info.waiting;
  }
  return info;
}

bool SimulatedStore::writable() const {
  MutexLock lock(core_->mu);
  return core_->is_writable;
}

void SimulatedStore::SetWritableListener(absl::AnyInvocable<void(bool)> listener) {
  if (!writable()) listener(false);
  MutexLock lock(core_->mu);
  core_->listener = std::move(listener);
}

}  // namespace agentruntime::simulation
