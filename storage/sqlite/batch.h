// The inside of one transaction: applies items to the tables in order, checks each against what came before it, and decides its outcome.
#pragma once

#include <vector>

#include "absl/container/flat_hash_map.h"
#include "storage/sqlite/database.h"
#include "storage/sqlite/items.h"
#include "storage/sqlite/run_counts.h"

namespace agentruntime::sqlite {

// Runs of which appends with a smaller number than this are lost.
using LostRuns = absl::flat_hash_map<RunId, uint64_t>;

// Unfinished runs as they are after the last commit, so that an append need not read its run's row: nobody else writes.
struct CachedRun {
  int64_t row = 0;
  v1::RunState state = v1::RUN_STATE_UNSPECIFIED;
  Sequence last_sequence = 0;
  Epoch epoch = 0;
  int64_t journal_bytes = 0;
};
using RunCache = absl::flat_hash_map<RunId, CachedRun>;
inline constexpr size_t kCachedRunsMax = 50'000;  // about 5 MiB; a full cache is emptied

// One transaction deletes no more runs once their journals have so many bytes. What a delete costs is known only here, not when it is queued.
inline constexpr int64_t kDeletedBytesMax = 4 << 20;

// Lives for one try of one transaction; the caller begins and ends it. Errors of the database stay in the database. An item that is refused changes nothing.
class Batch {
 public:
  Batch(Database& database, Epoch epoch, const LostRuns& lost, const RunCache& cache) : database_(database), epoch_(epoch), lost_(lost), cache_(cache) {}

  void Apply(Item& item);
  // The transaction has enough to do: nothing more should be applied.
  bool full() const { return deleted_bytes_ >= kDeletedBytesMax; }
  // Writes the projections: once for each run, however many appends it had. Items must not move before.
  // False: a row of a run that was there is not there any more, so somebody else writes.
  bool Finish();
  // Chunks of artifacts were left that the writer is to remove.
  bool left_artifacts() const { return left_artifacts_; }
  // After the commit: brings the cache to what is durable now.
  void Remember(RunCache& cache) const;
  // The same of the counts.
  void Count(RunCounts& counts) const;

 private:
  // A run as it is within this transaction.
  struct Run : CachedRun {
    v1::RunState before = v1::RUN_STATE_UNSPECIFIED;  // of the transaction; UNSPECIFIED: there was none
    bool exists = false;
    bool lost = false;
    bool state_changed = false;
    const StateRow* latest = nullptr;  // to be written by Finish
  };

  void Create(CreateItem& item);
  // Whether an append on these terms is the run's next one.
  bool Fits(const Run& run, Epoch epoch, Sequence expected_last_sequence) const;
  // Whether another append of the run was, that item `number` was queued behind.
  bool IsLost(const Run& run, const RunId& id, uint64_t number) const;
  void Append(AppendItem& item, uint64_t number);
  void Stage(const ChunkItem& item, uint64_t number);
  void Delete(DeleteItem& item);
  Run& Find(const RunId& id);
  // There is no such run any more, or not yet.
  static void Clear(Run& run);
  bool WriteState(const RunId& id, Run& run);
  // Brings the column `state` of every run to what it is within this transaction, so that statements can ask for it.
  void WriteStates();
  // Why the run cannot be accepted: its base has gone, or its conversation has an active run.
  std::optional<CreateOutcome> Refused(const AcceptedRow& row);
  // Whether a stopped run's conversation went on without it.
  bool WentOn(const Run& run);
  void InsertEvent(int64_t run_row, const EventRow& event);
  void DeleteLabels(const RunId& run, absl::string_view tenant, absl::string_view labels_blob);
  void BuryRun(const DeleteItem& item, int64_t run_row);

  Database& database_;
  const Epoch epoch_;
  const LostRuns& lost_;
  const RunCache& cache_;
  absl::flat_hash_map<RunId, Run> runs_;
  int64_t deleted_bytes_ = 0;
  bool gone_ = false;  // the row of a run is not there any more
  bool left_artifacts_ = false;
  std::vector<RunId> changed_;  // runs with a `latest` or created here, in the order of their first change
};

}  // namespace agentruntime::sqlite
