// What outlives a simulated process: the durable state of its store, and what is read off it. Events are kept as bytes, so that nothing is shared across a
// crash.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "agentruntime/v1/agent.pb.h"
#include "proto/base/mutex.h"
#include "storage/types.h"

namespace agentruntime::simulation {

struct DiskArtifact {
  ArtifactRecord record;
  Epoch epoch = 0;  // of its chunks
};

struct DiskRun {
  RunRecord record;
  std::vector<std::string> events;            // its own: event 1 first, or, of a fork, the one behind those that it shares
  Epoch epoch = 0;                            // of the last event
  std::map<int32_t, DiskArtifact> artifacts;  // that an event names
  int64_t number = 0;                         // in the order in which runs were accepted

  // Of the last event that lies with other runs.
  Sequence shared() const { return record.forked_from ? record.forked_from->sequence : 0; }
  Sequence last() const { return shared() + static_cast<Sequence>(events.size()); }
};

struct DiskRequest {
  RunId run;
  std::string hash;
  bool deleted = false;
};

// Written before the event that names their artifact.
struct ChunkKey {
  RunId run;
  int32_t number = 0;
  Epoch epoch = 0;
  auto operator<=>(const ChunkKey&) const = default;
};

using RequestKey = std::pair<std::string, std::string>;  // tenant, request id

struct Disk {
  Mutex mu;
  Epoch epoch ABSL_GUARDED_BY(mu) = 0;           // of the last opening
  Epoch restored_epoch ABSL_GUARDED_BY(mu) = 0;  // of the last that restored the store
  std::string id ABSL_GUARDED_BY(mu);            // of the store; "": it was never opened
  int64_t accepted ABSL_GUARDED_BY(mu) = 0;
  std::map<RunId, DiskRun> runs ABSL_GUARDED_BY(mu);
  std::map<ChunkKey, std::vector<std::string>> chunks ABSL_GUARDED_BY(mu);
  std::map<RequestKey, DiskRequest> requests ABSL_GUARDED_BY(mu);
  std::map<std::string, std::vector<v1::Agent>> agents ABSL_GUARDED_BY(mu);  // by agent id: revisions, the first one first
};

// An event out of its bytes.
EventPtr ParseEvent(const std::string& bytes);

// What a retry of the request is answered; nothing if the request is new.
std::optional<CreateOutcome> KnownRequest(const Disk& disk, const std::string& tenant, const std::string& request_id, const std::string& hash)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu);

// Runs of a conversation, in the order of their ids.
std::vector<const DiskRun*> RunsOf(const Disk& disk, const std::string& tenant, const std::string& conversation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu);

// A run's event, wherever it lies.
const std::string& EventOf(const Disk& disk, const DiskRun* row, Sequence sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk.mu);

bool IsActive(const DiskRun& row);
bool Matches(const RunRecord& record, const RunQuery& query);

}  // namespace agentruntime::simulation
