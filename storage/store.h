// The journal of every run: append-only, one writer per run, any number of readers.
//
// Source of the ideas: fencing by epoch after Restate's invoker; group commit after LevelDB's write queue.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/run_reader.h"
#include "storage/types.h"

namespace agentruntime {

// Called once, on the store's own thread, in the order of the calls it belongs to: it must be quick and must not call the store; post elsewhere.
using CreateDone = absl::AnyInvocable<void(CreateOutcome)>;
using AppendDone = absl::AnyInvocable<void(AppendResult)>;
using DeleteDone = absl::AnyInvocable<void(absl::Status)>;

// Thread-safe. Writes are queued behind all earlier writes and committed in that order, many runs to one transaction and one sync; each item of a batch
// succeeds or fails alone. The durable state is always a prefix of that order.
//
// A full or busy disk only delays writes: the same batch is tried again until it succeeds, `writable` is false meanwhile, and reads go on.
// Any other failed write ends the process at once: after a failed sync nobody can say what the disk holds.
//
// A store holds a bounded amount of queued writes; over it a write blocks its caller until there is room. Callers keep far below that bound.
//
// Reads block on the disk and see committed rows only: call them on a blocking pool. Errors of reads: DATA_LOSS (RunDamaged) where a checksum does not
// fit or an event is missing, and (StoreDamaged) where SQLite finds the file damaged; INTERNAL where the disk cannot be read; RESOURCE_EXHAUSTED where other
// reads take too long.
//
// Its destruction finishes what is queued, unless the disk is full; then what was not acknowledged is dropped.
class Store : public RunReader {
 public:
  // The epoch of this opening: greater than that of every earlier one.
  virtual Epoch epoch() const = 0;

  // 32 hex digits, random: made with the store, kept by every opening of it, and made anew by an opening that restores it. A copy has its original's.
  virtual const std::string& id() const = 0;

  // The epoch of the last opening that restored the store, which is no later than this one; 0: none did. What older epochs left unfinished may have been done
  // elsewhere since.
  virtual Epoch restored_epoch() const = 0;

  // Accepts a run with its first own event: event 1, or, of a fork, the one behind the events that it shares. Those are not copied: every read of the fork
  // reads them where they are. The event is at most kEventBytesMax bytes.
  virtual void Create(NewRun run, CreateDone done) = 0;

  // What Create would say of a request id, as of the last commit; nullopt: it is free. So a retry finds its run also where a new run would be refused.
  // `request_id` is not empty.
  virtual absl::StatusOr<std::optional<CreateOutcome>> FindRequest(const std::string& tenant, const std::string& request_id,
                                                                   const std::string& request_hash) = 0;

  // Appends to a run and replaces its projection. May be queued right behind the run's Create, and is lost if that is refused; but not where another run has
  // the id already, so who may make an id twice waits for CreateDone. Each event at most kEventBytesMax bytes. Artifacts are written first, in pieces of
  // several commits, so that a large one holds nobody up; they are there, for readers, with the commit of the events and not before. What a crash leaves of
  // them before that commit is removed by and by after the next opening.
  virtual void Append(AppendRequest request, AppendDone done) = 0;

  // Removes a stopped run whole; its id and request id are remembered for at least 24 h. NOT_FOUND; FAILED_PRECONDITION unless its projection is STOPPED
  // and it has no forks.
  virtual void Delete(const RunId& run, DeleteDone done) = 0;

  // At most `bytes_max` bytes (at least 1) of an artifact from `offset` on; none at its end. NOT_FOUND: no such run, or no durable event of it that came with
  // this artifact. OUT_OF_RANGE: `offset` is negative or lies beyond the end. DATA_LOSS (ArtifactDamaged): that piece is missing or damaged; the run itself
  // is not.
  virtual absl::StatusOr<ArtifactPiece> ReadArtifact(const RunId& run, int32_t number, int64_t offset, int64_t bytes_max) = 0;

  // What a run has, by number. NOT_FOUND. DATA_LOSS (ArtifactDamaged).
  virtual absl::StatusOr<std::vector<ArtifactRecord>> ListArtifacts(const RunId& run) = 0;

  // By id, which is creation time. A damaged run is left out and set aside. A call that has looked at very many runs returns what it has found, with `more`;
  // INVALID_ARGUMENT if that is nothing: the time to search on from is in the message. CANCELLED soon after `stop` is asked for.
  virtual absl::StatusOr<RunPage> ListRuns(const RunQuery& query, const std::stop_token& stop = {}) = 0;

  // Runs of a conversation as they were accepted, the last one first.
  virtual absl::StatusOr<std::vector<RunId>> Conversation(const std::string& tenant, const std::string& conversation, int32_t limit) = 0;

  // Runs that are not stopped, oldest first, after `after`: what a start takes up, and (by wake_time) what a timer does. Where
  // the file cannot be read the runs before that place are returned, and the error by the call that begins behind them.
  virtual absl::StatusOr<std::vector<UnfinishedRun>> UnfinishedRuns(std::optional<RunId> after, int32_t limit) = 0;

  // Sizes and counts.
  virtual absl::StatusOr<StoreInfo> Info() = 0;

  // Whether writes go through now.
  virtual bool writable() const = 0;
  // `listener(writable)` is called on the store's thread at each change; at once, on the caller's, if the store cannot write now. Set once.
  virtual void SetWritableListener(absl::AnyInvocable<void(bool)> listener) = 0;
};

}  // namespace agentruntime
