// The words that a store and its users share.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/id.h"

namespace agentruntime {

// An event is built once and then shared, never changed: it may be read on any thread.
using EventPtr = std::shared_ptr<const v1::Event>;

// What of a run is kept in columns beside its journal, so that lists need no fold. Derived from the events up to `last_sequence`, written in their
// transaction: a speed-up, never the truth.
struct RunProjection {
  v1::RunState state = v1::RUN_STATE_QUEUED;
  std::optional<v1::Stop> stop;
  v1::Usage usage;
  v1::Limits limits;  // effective, raises by resumes included
  std::optional<absl::Time> deadline;
  std::optional<v1::Activity> activity;
  std::vector<v1::WaitingCall> waiting_calls;
  Sequence last_sequence = 0;
  Sequence answer_sequence = 0;  // event that holds the answer (decision_made or run_stopped); 0: none
  int32_t last_step = 0;
  int32_t barren_starts = 0;  // starts since the last event that was progress
  absl::Time update_time;
  std::optional<absl::Time> start_time;
  std::optional<absl::Time> stop_time;
  int32_t priority = 0;
  std::optional<absl::Time> not_before;
  // When the run needs a session although nothing comes from outside; only of runs that wait out of memory.
  std::optional<absl::Time> wake_time;
};

// A place in the journal of another run: its events up to `sequence` are the fork's too.
struct ForkPoint {
  RunId run;
  Sequence sequence = 0;
  friend bool operator==(const ForkPoint&, const ForkPoint&) = default;
};

// A run to be accepted.
struct NewRun {
  RunId id;
  std::string tenant;        // "" until there are tenants
  std::string request_id;    // "": none; else unique within the tenant
  std::string request_hash;  // of the request, to tell a retry from another request under the same id
  EventPtr created;          // its first own event, run_created or run_forked: agent, labels, create time and so on are taken from it
  std::string title;
  RunProjection projection;
  std::optional<ForkPoint> forked_from;  // of a fork: the last event that it shares, the one before its first own
  // Of a run that joins a conversation: the newest runs of it, as the caller read them before it wrote down what this run reads of them. nullopt: it did not.
  std::optional<std::vector<RunId>> conversation_seen;
};

// What became of it.
struct CreateOutcome {
  enum class Kind {
    kCreated,    // durable
    kExists,     // the request id was used, with the same hash, for `run`
    kReused,     // the request id was used, with another hash, for `run`
    kDeleted,    // the request id was used for `run`, which was deleted
    kBusy,       // `run`, of the same conversation, is not stopped
    kOvertaken,  // `run`, of the same conversation, came after `conversation_seen` was read, and has stopped
    kNoBase,     // `run`, of which it was to be a fork, is gone
    kDamaged,    // the request id leads to `run`, whose row is damaged or of another request: whether it was used cannot be told
  };
  Kind kind;
  RunId run;
};

// How an append ended.
enum class AppendResult {
  kDurable,
  // A newer epoch owns the run, its last sequence differs, it is gone, or it was to be resumed and its conversation has a later run: drop the session;
  // every later append of it is lost too.
  kLost,
};

// Content that is kept apart from the journal because it is large. Shared, never changed, read on any thread.
struct StagedArtifact {
  int32_t number = 0;  // from 1 within the run; above all that its journal names
  std::string media_type;
  std::string hash;                            // of the content, by whatever function the caller uses: kept, not judged
  std::shared_ptr<const std::string> content;  // 1 to kArtifactBytesMax bytes
};

// An artifact that an event names.
struct ArtifactRecord {
  int32_t number = 0;
  std::string media_type;
  std::string hash;
  int64_t bytes = 0;
};

struct ArtifactPiece {
  std::string data;
  int64_t total_bytes = 0;
};

// Events to be appended to one run, as one atomic item.
struct AppendRequest {
  RunId run;
  Epoch epoch = 0;
  Sequence expected_last_sequence = 0;
  std::vector<EventPtr> events;           // at least 1; sequences follow `expected_last_sequence` without gaps
  RunProjection projection;               // after the last of them
  std::vector<StagedArtifact> artifacts;  // that the events name for the first time
};

// A run as its columns tell it.
struct RunRecord {
  RunId id;
  std::string tenant;
  std::string request_id;    // as of NewRun
  std::string request_hash;  // as of NewRun
  std::string agent;         // agents/{agent}/revisions/{revision}
  std::string title;
  std::map<std::string, std::string> labels;
  absl::Time create_time;
  std::string conversation;              // "": of none
  std::optional<ForkPoint> forked_from;  // where its own events begin: behind this one
  RunProjection projection;
};

// All given conditions must hold.
struct RunQuery {
  std::string tenant;
  std::vector<v1::RunState> states;
  std::vector<v1::StopReason> stop_reasons;
  std::string agent;     // {agent} without `agents/`; "": any
  int32_t revision = 0;  // 0: any
  std::map<std::string, std::string> labels;
  std::string conversation;                  // "": any
  std::optional<absl::Time> created_after;   // at or after
  std::optional<absl::Time> created_before;  // before
  bool oldest_first = false;
  std::optional<RunId> after;  // the last run of the page before
  int32_t limit = 50;
};

struct RunPage {
  std::vector<RunRecord> runs;
  bool more = false;  // there may be more: ask for what comes after the last of `runs`
};

// How much of a journal one read returns: it ends at whichever comes first, but has at least one event if there is one.
struct ReadLimit {
  int32_t events_max = 1000;
  int64_t bytes_max = 1 << 20;
};

// A run that is not stopped, for recovery.
struct UnfinishedRun {
  RunId id;
  v1::RunState state = v1::RUN_STATE_QUEUED;
  int32_t barren_starts = 0;
  int32_t priority = 0;
  std::optional<absl::Time> wake_time;
  std::optional<absl::Time> deadline;
  absl::Duration active_time;                         // as of its last event
  absl::Duration timeout = absl::InfiniteDuration();  // of that, as its limits say; infinite: they do not
  Epoch epoch = 0;                                    // of its last event
};

struct StoreInfo {
  std::string kind;
  std::string id;
  int64_t bytes = 0;
  int64_t free_bytes = 0;
  int32_t format = 0;
  int64_t queued = 0;
  int64_t running = 0;
  int64_t waiting = 0;
  int64_t set_aside = 0;
};

}  // namespace agentruntime
