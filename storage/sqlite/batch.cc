#include "storage/sqlite/batch.h"

#include <algorithm>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "proto/base/planted_bug.h"
#include "proto/util/errors.h"
#include "storage/sqlite/deleted_runs.h"
#include "storage/sqlite/relations.h"
#include "storage/sqlite/request.h"

namespace agentruntime::sqlite {

void Batch::Apply(Item& item) {
  if (auto* append = std::get_if<AppendItem>(&item.what)) return Append(*append, item.number);
  if (auto* create = std::get_if<CreateItem>(&item.what)) return Create(*create);
  if (auto* chunk = std::get_if<ChunkItem>(&item.what)) return Stage(*chunk, item.number);
  if (auto* remove = std::get_if<DeleteItem>(&item.what)) return Delete(*remove);
  std::get<TaskItem>(item.what).task(database_);
}

Batch::Run& Batch::Find(const RunId& id) {
  const auto [found, fresh] = runs_.try_emplace(id);
  Run& run = found->second;
  if (!fresh) return run;
  if (const auto cached = cache_.find(id); cached != cache_.end()) {
    static_cast<CachedRun&>(run) = cached->second;
    run.exists = true;
    run.before = run.state;
    return run;
  }
  // A damaged index may lead to the row of another run, which nothing is written to. So the row is looked up by what the index says of it: a statement that
  // goes by the index alone is given the run's id out of the index.
  Statement& select = database_.Use("SELECT id, state, last_sequence, epoch, journal_bytes, run FROM runs WHERE id = (SELECT id FROM runs WHERE run = ?1)");
  if (select.BindBlob(id.bytes()).Step() && select.Bytes(5) == id.bytes()) {
    run.exists = true;
    run.row = select.Integer(0);
    run.state = ParseState(select.Bytes(1));
    run.last_sequence = select.Integer(2);
    run.epoch = select.Integer(3);
    run.journal_bytes = select.Integer(4);
    run.before = run.state;
  }
  select.Reset();
  return run;
}

void Batch::Clear(Run& run) {
  const v1::RunState before = run.before;
  run = Run();
  run.before = before;
}

void Batch::InsertEvent(int64_t run_row, const EventRow& event) {
  database_.Use("INSERT INTO events (run, sequence, time_us, active_us, step, epoch, body, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
      .Bind(run_row)
      .Bind(event.sequence)
      .Bind(event.time_us)
      .Bind(event.active_us)
      .Bind(event.step)
      .Bind(event.epoch)
      .BindBlob(event.body())
      .Bind(event.crc)
      .Run();
}

void Batch::Create(CreateItem& item) {
  const RunId& id = item.accepted.run;
  if (const auto known = SelectRequest(database_, item.accepted.tenant, item.accepted.request_id, item.accepted.request_hash); known) {
    item.outcome = *known;
    return;
  }
  if (const auto refused = Refused(item.accepted); refused) {
    item.outcome = *refused;
    return;
  }
  item.outcome = {CreateOutcome::Kind::kCreated, id};
  const auto journal_bytes = static_cast<int64_t>(item.event.body().size());
  Statement& insert = database_.Use(
      "INSERT INTO runs (" AGENTRUNTIME_RUN_COLUMNS
      ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run) DO NOTHING");
  BindAccepted(insert, item.accepted);
  BindState(insert, id, item.state, epoch_, journal_bytes, true);
  if (insert.Run() == 0) {
    item.outcome.kind = CreateOutcome::Kind::kReused;  // the id is taken, not by this request
    return;
  }
  const int64_t row = database_.last_rowid();
  for (const auto& [key, value] : item.accepted.labels) {
    database_.Use("INSERT INTO run_labels (tenant, key, value, run) VALUES (?, ?, ?, ?)")
        .BindText(item.accepted.tenant)
        .BindText(key)
        .BindText(value)
        .BindBlob(id.bytes())
        .Run();
  }
  InsertEvent(row, item.event);
  Run& run = runs_[id];
  Clear(run);
  run.exists = true;
  run.row = row;
  run.state = item.state.state;
  run.last_sequence = item.event.sequence;
  run.epoch = epoch_;
  run.journal_bytes = journal_bytes;
  changed_.push_back(id);
}

bool Batch::Fits(const Run& run, Epoch epoch, Sequence expected_last_sequence) const {
  return run.exists && epoch == epoch_ && epoch >= run.epoch && expected_last_sequence == run.last_sequence;
}

bool Batch::IsLost(const Run& run, const RunId& id, uint64_t number) const {
  const auto lost = lost_.find(id);
  return run.lost || (lost != lost_.end() && number < lost->second);
}

// What is not the run's next append is found lost when it comes; its chunks would only lie about.
void Batch::Stage(const ChunkItem& item, uint64_t number) {
  const Run& run = Find(item.run);
  if (!IsLost(run, item.run, number) && Fits(run, item.epoch, item.expected_last_sequence)) InsertChunk(database_, item.run, item.epoch, item.row);
}

std::optional<CreateOutcome> Batch::Refused(const AcceptedRow& row) {
  if (row.base) {
    const Run& base = Find(row.base->run);
    if (!base.exists || base.last_sequence < row.base->sequence) return CreateOutcome{CreateOutcome::Kind::kNoBase, row.base->run};
  }
  if (row.conversation.empty()) return std::nullopt;
  WriteStates();
  const std::optional<RunId> active = ActiveOfConversation(database_, row.tenant, row.conversation);
  if (active) return CreateOutcome{CreateOutcome::Kind::kBusy, *active};
  if (!row.conversation_seen) return std::nullopt;
  // One that came and stopped since the caller read what came before would be missing from it for good.
  const std::optional<RunId> last = LastOfConversation(database_, row.tenant, row.conversation);
  if (!last || std::ranges::find(*row.conversation_seen, *last) != row.conversation_seen->end()) return std::nullopt;
  return CreateOutcome{CreateOutcome::Kind::kOvertaken, *last};
}

bool Batch::WentOn(const Run& run) {
  Statement& select = database_.Use(
      "SELECT 1 FROM runs AS later JOIN runs AS run ON later.tenant = run.tenant AND later.conversation = run.conversation "
      "WHERE run.id = ?1 AND later.id > ?1 LIMIT 1");
  const bool went_on = select.Bind(run.row).Step();
  select.Reset();
  return went_on;
}

void Batch::Append(AppendItem& item, uint64_t number) {
  Run& run = Find(item.run);
  item.lost_with_another = IsLost(run, item.run, number);
  bool fits = Fits(run, item.epoch, item.expected_last_sequence);
  // What follows a stop is a resume, which may stop again in the same append. Only the last run of a conversation may be active again.
  if (fits && run.state == v1::RUN_STATE_STOPPED) fits = !WentOn(run);
  if (item.lost_with_another || !fits) {
    item.result = AppendResult::kLost;
    run.lost = true;
    return;
  }
  item.result = AppendResult::kDurable;
  for (const EventRow& event : item.events) {
    if (IsPlanted(Bug::kDropEvent) && event.sequence == item.events.back().sequence) continue;
    InsertEvent(run.row, event);
    run.journal_bytes += static_cast<int64_t>(event.body().size());
  }
  for (const HeadRow& artifact : item.artifacts) InsertHead(database_, item.run, item.epoch, artifact);
  if (run.latest == nullptr) changed_.push_back(item.run);
  run.state_changed |= run.state != item.state.state;
  run.last_sequence = item.events.back().sequence;
  run.epoch = item.epoch;
  run.state = item.state.state;
  run.latest = &item.state;
}

void Batch::Delete(DeleteItem& item) {
  Run& run = Find(item.run);
  item.result = absl::OkStatus();
  if (!run.exists) {
    item.result = RunNotFound(item.run);
  } else if (run.state != v1::RUN_STATE_STOPPED) {
    item.result = RunNotStopped(item.run, run.state);
  } else if (const std::optional<RunId> fork = AnyForkOf(database_, item.run); fork) {
    item.result = RunHasForks(item.run, *fork);
  } else {
    BuryRun(item, run.row);
    deleted_bytes_ += run.journal_bytes;
    Clear(run);
  }
}

// The run's labels are known from its row; where that is damaged every label is looked at.
void Batch::DeleteLabels(const RunId& run, absl::string_view tenant, absl::string_view labels_blob) {
  v1::RunCreated labels;
  if (!labels.ParseFromArray(labels_blob.data(), static_cast<int>(labels_blob.size()))) {
    database_.Use("DELETE FROM run_labels WHERE run = ?1").BindBlob(run.bytes()).Run();
    return;
  }
  for (const auto& [key, value] : labels.labels()) {
    database_.Use("DELETE FROM run_labels WHERE tenant = ?1 AND key = ?2 AND value = ?3 AND run = ?4")
        .BindText(tenant)
        .BindText(key)
        .BindText(value)
        .BindBlob(run.bytes())
        .Run();
  }
}

void Batch::BuryRun(const DeleteItem& item, int64_t run_row) {
  Statement& select = database_.Use("SELECT " AGENTRUNTIME_RUN_COLUMNS " FROM runs WHERE id = ?1");
  if (select.Bind(run_row).Step()) {
    KeepDeleted(database_, select, item.now);
    DeleteLabels(item.run, select.Bytes(kTenantColumn), select.Bytes(kLabelsColumn));
  }
  select.Reset();
  left_artifacts_ |= AbandonArtifacts(database_, item.run);
  database_.Use("DELETE FROM events WHERE run = ?1").Bind(run_row).Run();
  database_.Use("DELETE FROM runs WHERE id = ?1").Bind(run_row).Run();
}

bool Batch::WriteState(const RunId& id, Run& run) {
  // Most appends leave the state as it is; without that column the indexes over it are not touched.
  Statement& update =
      run.state_changed
          ? database_.Use("UPDATE runs SET (" AGENTRUNTIME_STATE_COLUMNS ") = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?")
          : database_.Use("UPDATE runs SET (" AGENTRUNTIME_DETAIL_COLUMNS ") = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?");
  BindState(update, id, *run.latest, run.epoch, run.journal_bytes, run.state_changed);
  run.latest = nullptr;
  run.state_changed = false;
  return update.Bind(run.row).Run() == 1 || database_.failed();
}

void Batch::WriteStates() {
  for (const RunId& id : changed_) {
    if (Run& run = runs_[id]; run.latest != nullptr && run.state_changed) gone_ = !WriteState(id, run) || gone_;
  }
}

bool Batch::Finish() {
  for (const RunId& id : changed_) {
    if (Run& run = runs_[id]; run.latest != nullptr) gone_ = !WriteState(id, run) || gone_;  // else: written already, only created, or deleted since
  }
  return !gone_;
}

void Batch::Remember(RunCache& cache) const {
  if (cache.size() > kCachedRunsMax) cache.clear();
  for (const RunId& id : changed_) {
    const Run& run = runs_.at(id);
    if (run.exists && run.state != v1::RUN_STATE_STOPPED) {
      cache[id] = run;
    } else {
      cache.erase(id);
    }
  }
}

void Batch::Count(RunCounts& counts) const {
  for (const auto& [id, run] : runs_) {
    counts.Add(run.before, -1);
    counts.Add(run.state, 1);
  }
}

}  // namespace agentruntime::sqlite
