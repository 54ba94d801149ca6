// The writing half of the simulated store: what is queued, what commits, who is told.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/simulation/store.h"

namespace agentruntime::simulation {

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

// Outlives the store while steps of it are posted.
class SimulatedStore::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(Disk& disk, Commits& commits, Timers& timers, boost::asio::any_io_executor executor, const Opening& opening);

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
  const boost::asio::any_io_executor executor;
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
  // Why the run does not join its conversation, if it does not.
  std::optional<CreateOutcome> Refused(const NewRun& run) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu);
  void ApplyAppend(AppendItem& item, uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu, mu);
  bool WentOn(const DiskRun& row) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu);
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

}  // namespace agentruntime::simulation
