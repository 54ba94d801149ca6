// A store that obeys storage/store.h over a Disk: group commits that take time, completions in order, full disks, failing commits, crashes.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/base/random.h"
#include "runtime/timers.h"
#include "storage/agent_store.h"
#include "storage/store.h"
#include "tests/simulation/disk.h"

namespace agentruntime::simulation {

// What is decided of commits and reads, and who hears of them. Called on the store's thread, but for Queued and ReadIsRefused. As it is: every commit succeeds
// at once.
class Commits {
 public:
  enum class Fate {
    kCommits,
    kFull,     // tried again later
    kFails,    // the process ends; nothing of the batch is there
    kUnheard,  // the process ends; the whole batch is there, and nobody heard of it
  };
  virtual ~Commits() = default;
  virtual absl::Duration Time() { return absl::ZeroDuration(); }
  virtual size_t BatchMax() { return 1000; }
  virtual Fate Next() { return Fate::kCommits; }
  // On the caller's thread, before it is queued.
  virtual void Queued(const NewRun&) {}
  virtual void Queued(const AppendRequest&) {}
  // As the batch is applied; `run` is as of the item.
  virtual void Durable(const DiskRun& /*run*/, size_t /*new_events*/) {}
  virtual void Lost(const AppendRequest&) {}
  virtual void Refused(const NewRun&) {}
  virtual void Deleted(const RunId&) {}
  // On the caller's thread: a read by request id is refused, as other reads take too long.
  virtual bool ReadIsRefused() { return false; }
  // kFails, kUnheard. Afterwards the store is disconnected.
  virtual void ProcessEnds() {}
};

// Both halves share one core. `executor` stands for the store's own thread: it must not run two of its handlers at once. Everything is borrowed.
class SimulatedStore final : public Store {
 public:
  struct Opening {
    Random& random;         // of the store's id
    bool restored = false;  // it is a restored copy
  };
  SimulatedStore(Disk& disk, Commits& commits, Timers& timers, boost::asio::any_io_executor executor, const Opening& opening);
  ~SimulatedStore() override;

  // The process has ended: what is not durable is lost, nothing more is read or written, nobody hears of anything. `finish`: a batch that is being committed
  // was through.
  void Disconnect(bool finish);
  // Makes durable what is queued, as the destructor does, and disconnects.
  void Finish();
  // Tells the listener that nothing is written any more, so that nobody waits for it. After Disconnect.
  void GiveUp();

  Epoch epoch() const override;
  const std::string& id() const override;
  Epoch restored_epoch() const override;
  void Create(NewRun run, CreateDone done) override;
  absl::StatusOr<std::optional<CreateOutcome>> FindRequest(const std::string& tenant, const std::string& request_id, const std::string& request_hash) override;
  void Append(AppendRequest request, AppendDone done) override;
  void Delete(const RunId& run, DeleteDone done) override;
  absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit limit) override;
  absl::StatusOr<ArtifactPiece> ReadArtifact(const RunId& run, int32_t number, int64_t offset, int64_t bytes_max) override;
  absl::StatusOr<std::vector<ArtifactRecord>> ListArtifacts(const RunId& run) override;
  absl::StatusOr<RunRecord> GetRun(const RunId& run) override;
  absl::StatusOr<RunPage> ListRuns(const RunQuery& query, const std::stop_token& stop) override;
  absl::StatusOr<std::vector<RunId>> Conversation(const std::string& tenant, const std::string& conversation, int32_t limit) override;
  absl::StatusOr<std::vector<UnfinishedRun>> UnfinishedRuns(std::optional<RunId> after, int32_t limit) override;
  absl::StatusOr<StoreInfo> Info() override;
  bool writable() const override;
  void SetWritableListener(absl::AnyInvocable<void(bool)> listener) override;

 private:
  class Core;
  const std::shared_ptr<Core> core_;
};

class SimulatedAgentStore final : public AgentStore {
 public:
  // While `store` cannot write, writes fail. Both are borrowed.
  SimulatedAgentStore(Disk& disk, const Store& store, AgentBounds bounds = {}) : disk_(disk), store_(store), bounds_(bounds) {}
  absl::StatusOr<v1::Agent> Create(const v1::Agent& agent, absl::Time now) override;
  absl::StatusOr<v1::Agent> Update(const v1::Agent& agent, bool allow_missing, absl::Time now) override;
  absl::StatusOr<v1::Agent> Get(absl::string_view agent_id, int32_t revision) override;
  absl::StatusOr<std::vector<v1::Agent>> List(absl::string_view after, int32_t limit) override;

 private:
  absl::StatusOr<v1::Agent> Write(v1::Agent agent, bool may_create, bool may_update, absl::Time now);

  Disk& disk_;
  const Store& store_;
  const AgentBounds bounds_;
};

}  // namespace agentruntime::simulation
