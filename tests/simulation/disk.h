// What outlives a simulated process: the durable state of its store. Events are kept as bytes, so that nothing is shared across a crash.
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
  std::string request_id;
  std::string request_hash;
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

}  // namespace agentruntime::simulation
