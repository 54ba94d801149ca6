#include "tests/simulation/store.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <deque>
#include <utility>
#include <variant>

#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime::simulation {

namespace asio = boost::asio;

namespace {

constexpr absl::Duration kRetryPause = absl::Milliseconds(200);
constexpr size_t kChunkBytes = 16 << 10;

struct CreateItem {
  NewRun run;
  CreateDone done;
  CreateOutcome outcome = {CreateOutcome::Kind::kCreated, RunId()};
};
struct AppendItem {
  AppendRequest request;
  AppendDone done;
  AppendResult result = AppendResult::kDurable;
  bool lost_with_another = false;
};
// A piece of an artifact, before the append that names it.
struct ChunkItem {
  RunId run;
  Epoch epoch = 0;
  Sequence expected_last_sequence = 0;
  int32_t number = 0;
  size_t chunk = 0;
  std::string data;
};
struct DeleteItem {
  RunId run;
  DeleteDone done;
  absl::Status result;
};
struct Item {
  std::variant<CreateItem, AppendItem, ChunkItem, DeleteItem> what;
  uint64_t number = 0;
};

template <typename What>
std::unique_ptr<Item> ItemOf(What what) {
  auto item = std::make_unique<Item>();
  item->what = std::move(what);
  return item;
}

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

std::optional<CreateOutcome> Known(Disk& disk, const std::string& tenant, const std::string& request_id, const std::string& hash)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu) {
  if (request_id.empty()) return std::nullopt;
  const auto at = disk.requests.find(RequestKey(tenant, request_id));
  if (at == disk.requests.end()) return std::nullopt;
  using Kind = CreateOutcome::Kind;
  return CreateOutcome{at->second.deleted ? Kind::kDeleted : at->second.hash == hash ? Kind::kExists : Kind::kReused, at->second.run};
}

// Runs of a conversation, in the order of their ids.
std::vector<const DiskRun*> RunsOf(const Disk& disk, const std::string& tenant, const std::string& conversation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu) {
  std::vector<const DiskRun*> runs;
  if (conversation.empty()) return runs;
  for (const auto& [id, row] : disk.runs) {
    if (row.record.tenant == tenant && row.record.conversation == conversation) runs.push_back(&row);
  }
  return runs;
}

bool IsActive(const DiskRun& row) { return row.record.projection.state != v1::RUN_STATE_STOPPED; }

// A run's event, wherever it lies.
const std::string& EventOf(const Disk& disk, const DiskRun* row, Sequence sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu) {
  while (sequence <= row->shared()) row = &disk.runs.at(row->record.forked_from->run);
  return row->events[static_cast<size_t>(sequence - row->shared() - 1)];
}

bool Matches(const RunRecord& record, const RunQuery& query) {
  const auto in = [](const auto& values, auto value) { return values.empty() || std::find(values.begin(), values.end(), value) != values.end(); };
  const RunProjection& projection = record.projection;
  if (!query.conversation.empty() && record.conversation != query.conversation) return false;
  if (record.tenant != query.tenant || !in(query.states, projection.state)) return false;
  if (!query.stop_reasons.empty() && (!projection.stop || !in(query.stop_reasons, projection.stop->reason()))) return false;
  if (!query.agent.empty()) {
    const auto name = ParseAgentName(record.agent);
    if (!name || name->agent != query.agent || (query.revision != 0 && name->revision != query.revision)) return false;
  }
  if (query.created_after && record.create_time < *query.created_after) return false;
  if (query.created_before && record.create_time >= *query.created_before) return false;
  return std::all_of(query.labels.begin(), query.labels.end(), [&](const auto& label) {
    const auto found = record.labels.find(label.first);
    return found != record.labels.end() && found->second == label.second;
  });
}

}  // namespace

EventPtr ParseEvent(const std::string& bytes) {
  auto event = std::make_shared<v1::Event>();
  Require(event->ParseFromString(bytes));
  return event;
}

// Outlives the store while steps of it are posted.
class SimulatedStore::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(Disk& disk, Commits& commits, Timers& timers, asio::any_io_executor executor, const Opening& opening)
      : disk(disk), commits(commits), timers(timers), executor(std::move(executor)) {
    MutexLock lock(disk.mu);
    epoch = ++disk.epoch;
    if (opening.restored) disk.restored_epoch = epoch;
    if (opening.restored || disk.id.empty()) {
      const uint64_t high = opening.random.Next();
      disk.id = NewStoreId(high, opening.random.Next());
    }
    id = disk.id;
    restored_epoch = disk.restored_epoch;
    // What a crash left between chunks and their event.
    for (auto at = disk.chunks.begin(); at != disk.chunks.end();) at = IsNamed(at->first) ? std::next(at) : disk.chunks.erase(at);
  }

  void Push(std::vector<std::unique_ptr<Item>> items);
  void Begin();
  void TryCommit();
  void DeliverOne();
  void Close();
  void Disconnect(bool finish);
  void SetWritable(bool writable) ABSL_LOCKS_EXCLUDED(mu);

  Disk& disk;
  Commits& commits;
  Timers& timers;
  const asio::any_io_executor executor;
  Epoch epoch;
  std::string id;
  Epoch restored_epoch;

  Mutex mu;
  bool connected ABSL_GUARDED_BY(mu) = true;
  bool is_writable ABSL_GUARDED_BY(mu) = true;
  absl::AnyInvocable<void(bool)> listener ABSL_GUARDED_BY(mu);

 private:
  using Items = std::deque<std::unique_ptr<Item>>;

  void Apply(Item& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu, mu);
  void ApplyCreate(CreateItem& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu);
  void ApplyAppend(AppendItem& item, uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu, mu);
  bool WentOn(const DiskRun& row, const AppendRequest& request) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu);
  void ApplyChunk(ChunkItem& item, uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu, mu);
  // The run, if an append on these terms is its next one; else null. `lost_with_another`: because another was lost.
  DiskRun* Fitting(const RunId& run, Epoch epoch, Sequence expected_last_sequence, uint64_t number, bool& lost_with_another)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu, mu);
  bool IsNamed(const ChunkKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu);
  void ApplyDelete(DeleteItem& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu);
  void ApplyBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void TakeBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Later(absl::Duration delay, void (Core::*step)()) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Delivers the first of `delivering`. False if there is none.
  bool Deliver() ABSL_LOCKS_EXCLUDED(mu);

  bool busy ABSL_GUARDED_BY(mu) = false;  // a step is on its way
  Items queue ABSL_GUARDED_BY(mu);        // behind
  Items committing ABSL_GUARDED_BY(mu);   // the batch
  Items delivering ABSL_GUARDED_BY(mu);   // durable, or lost; its callers do not know yet
  uint64_t next_number ABSL_GUARDED_BY(mu) = 0;
  std::map<RunId, uint64_t> lost ABSL_GUARDED_BY(mu);  // a run's items below the number are lost too
  std::map<RunId, bool> lost_in_batch ABSL_GUARDED_BY(mu);
  std::unique_ptr<Timers::Wait> wait ABSL_GUARDED_BY(mu);
  std::unique_ptr<Timers::Wait> past_wait ABSL_GUARDED_BY(mu);  // a wait must not drop itself
};

void SimulatedStore::Core::Later(absl::Duration delay, void (Core::*step)()) {
  busy = true;
  auto run = [self = shared_from_this(), step] { ((*self).*step)(); };
  if (delay <= absl::ZeroDuration()) return asio::post(executor, std::move(run));
  past_wait = std::move(wait);
  wait = timers.After(delay, executor, std::move(run));
}

void SimulatedStore::Core::Push(std::vector<std::unique_ptr<Item>> items) {
  MutexLock lock(mu);
  if (!connected) return;
  for (std::unique_ptr<Item>& item : items) {
    item->number = next_number++;
    queue.push_back(std::move(item));
  }
  if (!busy) Later(absl::ZeroDuration(), &Core::Begin);
}

void SimulatedStore::Core::TakeBatch() {
  const size_t most = std::max<size_t>(1, commits.BatchMax());
  while (!queue.empty() && committing.size() < most) {
    committing.push_back(std::move(queue.front()));
    queue.pop_front();
  }
}

void SimulatedStore::Core::Begin() {
  MutexLock lock(mu);
  busy = false;
  if (!connected || queue.empty()) return;
  TakeBatch();
  Later(commits.Time(), &Core::TryCommit);
}

void SimulatedStore::Core::TryCommit() {
  Commits::Fate fate;
  {
    MutexLock lock(mu);
    if (!connected) return;
    fate = commits.Next();
    if (fate == Commits::Fate::kFull) {
      Later(kRetryPause, &Core::TryCommit);
    } else if (fate == Commits::Fate::kCommits) {
      ApplyBatch();
      Later(absl::ZeroDuration(), &Core::DeliverOne);
    }
  }
  if (fate == Commits::Fate::kFails || fate == Commits::Fate::kTorn) {
    Disconnect(fate == Commits::Fate::kTorn);
    return commits.ProcessEnds();
  }
  SetWritable(fate == Commits::Fate::kCommits);
}

void SimulatedStore::Core::ApplyBatch() {
  MutexLock lock(disk.mu);
  lost_in_batch.clear();
  // Whoever queued after a loss was known has heard of it.
  for (auto at = lost.begin(); at != lost.end();) at = at->second <= committing.front()->number ? lost.erase(at) : std::next(at);
  for (const auto& item : committing) Apply(*item);
  delivering = std::exchange(committing, {});
}

void SimulatedStore::Core::Apply(Item& item) {
  if (auto* create = std::get_if<CreateItem>(&item.what)) return ApplyCreate(*create);
  if (auto* append = std::get_if<AppendItem>(&item.what)) return ApplyAppend(*append, item.number);
  if (auto* chunk = std::get_if<ChunkItem>(&item.what)) return ApplyChunk(*chunk, item.number);
  ApplyDelete(std::get<DeleteItem>(item.what));
}

void SimulatedStore::Core::ApplyCreate(CreateItem& item) {
  NewRun& run = item.run;
  if (const auto known = Known(disk, run.tenant, run.request_id, run.request_hash)) {
    item.outcome = *known;
    return;
  }
  if (run.forked_from) {
    const auto base = disk.runs.find(run.forked_from->run);
    if (base == disk.runs.end() || base->second.last() < run.forked_from->sequence) {
      item.outcome = {CreateOutcome::Kind::kNoBase, run.forked_from->run};
      return;
    }
  }
  for (const DiskRun* other : RunsOf(disk, run.tenant, run.created->run_created().conversation())) {
    if (!IsActive(*other)) continue;
    item.outcome = {CreateOutcome::Kind::kBusy, other->record.id};
    return;
  }
  item.outcome = {CreateOutcome::Kind::kCreated, run.id};
  if (disk.runs.contains(run.id)) {
    item.outcome.kind = CreateOutcome::Kind::kReused;
    return;
  }
  const v1::RunCreated& created = run.created->run_created();
  const v1::RunForked& forked = run.created->run_forked();
  const auto& labels = run.forked_from ? forked.labels() : created.labels();
  DiskRun& row = disk.runs[run.id];
  row.record = {run.id,
                run.tenant,
                run.forked_from ? forked.agent() : created.agent(),
                run.title,
                {labels.begin(), labels.end()},
                FromProto(run.created->time()),
                created.conversation(),
                run.forked_from,
                std::move(run.projection)};
  row.number = ++disk.accepted;
  row.request_id = run.request_id;
  row.request_hash = run.request_hash;
  row.events.push_back(run.created->SerializeAsString());
  row.epoch = epoch;
  if (!run.request_id.empty()) disk.requests[RequestKey(run.tenant, run.request_id)] = {run.id, run.request_hash};
  commits.Durable(row, 1);
}

DiskRun* SimulatedStore::Core::Fitting(const RunId& run, Epoch of, Sequence expected_last_sequence, uint64_t number, bool& lost_with_another) {
  const auto at = disk.runs.find(run);
  const auto known = lost.find(run);
  lost_with_another = lost_in_batch.contains(run) || (known != lost.end() && number < known->second);
  const bool fits = at != disk.runs.end() && of == epoch && disk.epoch == epoch && of >= at->second.epoch && expected_last_sequence == at->second.last();
  return !lost_with_another && fits ? &at->second : nullptr;
}

bool SimulatedStore::Core::IsNamed(const ChunkKey& key) {
  const auto run = disk.runs.find(key.run);
  if (run == disk.runs.end()) return false;
  const auto artifact = run->second.artifacts.find(key.number);
  return artifact != run->second.artifacts.end() && artifact->second.epoch == key.epoch;
}

void SimulatedStore::Core::ApplyChunk(ChunkItem& item, uint64_t number) {
  bool lost_with_another = false;
  if (Fitting(item.run, item.epoch, item.expected_last_sequence, number, lost_with_another) == nullptr) return;
  std::vector<std::string>& chunks = disk.chunks[{item.run, item.number, item.epoch}];
  chunks.resize(item.chunk);  // what an append left that was lost goes
  chunks.push_back(item.data);
}

// Whether the run is to be resumed although its conversation has a later one.
bool SimulatedStore::Core::WentOn(const DiskRun& row, const AppendRequest& request) const {
  if (IsActive(row) || request.projection.state == v1::RUN_STATE_STOPPED) return false;
  const std::vector<const DiskRun*> runs = RunsOf(disk, row.record.tenant, row.record.conversation);
  return std::any_of(runs.begin(), runs.end(), [&](const DiskRun* other) { return other->number > row.number; });
}

void SimulatedStore::Core::ApplyAppend(AppendItem& item, uint64_t number) {
  const AppendRequest& request = item.request;
  DiskRun* row = Fitting(request.run, request.epoch, request.expected_last_sequence, number, item.lost_with_another);
  if (row != nullptr && WentOn(*row, request)) row = nullptr;
  if (row == nullptr) {
    item.result = AppendResult::kLost;
    lost_in_batch[request.run] = true;
    commits.Lost(request);
    return;
  }
  for (const StagedArtifact& artifact : request.artifacts) {
    row->artifacts[artifact.number] = {{artifact.number, artifact.media_type, artifact.hash, static_cast<int64_t>(artifact.content->size())}, request.epoch};
  }
  for (const EventPtr& event : request.events) row->events.push_back(event->SerializeAsString());
  row->record.projection = request.projection;
  row->epoch = request.epoch;
  commits.Durable(*row, request.events.size());
}

void SimulatedStore::Core::ApplyDelete(DeleteItem& item) {
  const auto at = disk.runs.find(item.run);
  item.result = absl::OkStatus();
  if (at == disk.runs.end()) {
    item.result = RunNotFound(item.run);
  } else if (at->second.record.projection.state != v1::RUN_STATE_STOPPED) {
    item.result = RunNotStopped(item.run, at->second.record.projection.state);
  } else if (const auto fork =
                 std::find_if(disk.runs.begin(), disk.runs.end(),
                              [&](const auto& other) { return other.second.record.forked_from && other.second.record.forked_from->run == item.run; });
             fork != disk.runs.end()) {
    item.result = RunHasForks(item.run, fork->first);
  } else {
    if (!at->second.request_id.empty()) disk.requests[RequestKey(at->second.record.tenant, at->second.request_id)].deleted = true;
    for (const auto& [artifact, head] : at->second.artifacts) disk.chunks.erase({item.run, artifact, head.epoch});
    disk.runs.erase(at);
    commits.Deleted(item.run);
  }
}

bool SimulatedStore::Core::Deliver() {
  std::unique_ptr<Item> item;
  {
    MutexLock lock(mu);
    if (delivering.empty()) return false;
    item = std::move(delivering.front());
    delivering.pop_front();
    if (const auto* append = std::get_if<AppendItem>(&item->what)) {
      if (append->result == AppendResult::kLost && !append->lost_with_another) lost[append->request.run] = next_number;
    }
  }
  if (auto* create = std::get_if<CreateItem>(&item->what)) {
    create->done(create->outcome);
  } else if (auto* append = std::get_if<AppendItem>(&item->what)) {
    append->done(append->result);
  } else if (auto* remove = std::get_if<DeleteItem>(&item->what)) {
    remove->done(std::move(remove->result));
  }
  return true;
}

void SimulatedStore::Core::DeliverOne() {
  const bool more = Deliver();
  MutexLock lock(mu);
  if (connected) Later(absl::ZeroDuration(), more ? &Core::DeliverOne : &Core::Begin);
}

void SimulatedStore::Core::SetWritable(bool writable) {
  absl::AnyInvocable<void(bool)> told;
  {
    MutexLock lock(mu);
    if (is_writable == writable) return;
    is_writable = writable;
    told = std::move(listener);
  }
  if (!told) return;
  told(writable);
  MutexLock lock(mu);
  listener = std::move(told);
}

void SimulatedStore::Core::Close() {
  for (bool more = true; more;) {
    while (Deliver()) {
    }
    MutexLock lock(mu);
    if (committing.empty() && !queue.empty()) TakeBatch();
    more = connected && is_writable && !committing.empty();
    if (more) ApplyBatch();
  }
  Disconnect(false);
}

void SimulatedStore::Core::Disconnect(bool finish) {
  Items dropped;
  MutexLock lock(mu);
  if (!connected) return;
  if (finish && !committing.empty()) ApplyBatch();
  connected = false;
  wait.reset();
  past_wait.reset();
  // Destroyed after the lock: what they hold may call the store.
  for (Items* items : {&queue, &committing, &delivering}) {
    for (auto& item : *items) dropped.push_back(std::move(item));
    items->clear();
  }
}

SimulatedStore::SimulatedStore(Disk& disk, Commits& commits, Timers& timers, asio::any_io_executor executor, const Opening& opening)
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
  MutexLock disk_lock(core_->disk.mu);
  return Known(core_->disk, tenant, request_id, request_hash);
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

absl::StatusOr<RunPage> SimulatedStore::ListRuns(const RunQuery& query) {
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
    if (projection.state != v1::RUN_STATE_STOPPED)
      runs.push_back({at->first, projection.state, projection.barren_starts, projection.priority, projection.wake_time, at->second.epoch});
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
  MutexLock lock(core_->mu);
  core_->listener = std::move(listener);
}

}  // namespace agentruntime::simulation
