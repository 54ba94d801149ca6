#include "tests/simulation/store_core.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "proto/util/errors.h"
#include "proto/util/time.h"

namespace agentruntime::simulation {

namespace asio = boost::asio;

namespace {

constexpr absl::Duration kRetryPause = absl::Milliseconds(200);

}  // namespace

SimulatedStore::Core::Core(Disk& disk, Commits& commits, Timers& timers, asio::any_io_executor executor, const Opening& opening)
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
  if (fate == Commits::Fate::kFails || fate == Commits::Fate::kUnheard) {
    Disconnect(fate == Commits::Fate::kUnheard);
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
  if (auto* create = std::get_if<CreateItem>(&item.what)) {
    ApplyCreate(*create);
    if (create->outcome.kind != CreateOutcome::Kind::kCreated) commits.Refused(create->run);
    return;
  }
  if (auto* append = std::get_if<AppendItem>(&item.what)) return ApplyAppend(*append, item.number);
  if (auto* chunk = std::get_if<ChunkItem>(&item.what)) return ApplyChunk(*chunk, item.number);
  ApplyDelete(std::get<DeleteItem>(item.what));
}

std::optional<CreateOutcome> SimulatedStore::Core::Refused(const NewRun& run) const {
  const DiskRun* last = nullptr;
  for (const DiskRun* other : RunsOf(disk, run.tenant, run.created->run_created().conversation())) {
    if (IsActive(*other)) return CreateOutcome{CreateOutcome::Kind::kBusy, other->record.id};
    if (last == nullptr || other->number > last->number) last = other;
  }
  if (last == nullptr || !run.conversation_seen) return std::nullopt;
  const std::vector<RunId>& seen = *run.conversation_seen;
  if (std::find(seen.begin(), seen.end(), last->record.id) != seen.end()) return std::nullopt;
  return CreateOutcome{CreateOutcome::Kind::kOvertaken, last->record.id};
}

void SimulatedStore::Core::ApplyCreate(CreateItem& item) {
  NewRun& run = item.run;
  if (const auto known = KnownRequest(disk, run.tenant, run.request_id, run.request_hash)) {
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
  if (const auto refused = Refused(run)) {
    item.outcome = *refused;
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
                run.request_id,
                run.request_hash,
                run.forked_from ? forked.agent() : created.agent(),
                run.title,
                {labels.begin(), labels.end()},
                FromProto(run.created->time()),
                created.conversation(),
                run.forked_from,
                std::move(run.projection)};
  row.number = ++disk.accepted;
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
bool SimulatedStore::Core::WentOn(const DiskRun& row) const {
  if (IsActive(row)) return false;  // what follows a stop is a resume
  const std::vector<const DiskRun*> runs = RunsOf(disk, row.record.tenant, row.record.conversation);
  return std::any_of(runs.begin(), runs.end(), [&](const DiskRun* other) { return other->number > row.number; });
}

void SimulatedStore::Core::ApplyAppend(AppendItem& item, uint64_t number) {
  const AppendRequest& request = item.request;
  DiskRun* row = Fitting(request.run, request.epoch, request.expected_last_sequence, number, item.lost_with_another);
  if (row != nullptr && WentOn(*row)) row = nullptr;
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
    const RunRecord& record = at->second.record;
    if (!record.request_id.empty()) disk.requests[RequestKey(record.tenant, record.request_id)].deleted = true;
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

}  // namespace agentruntime::simulation
