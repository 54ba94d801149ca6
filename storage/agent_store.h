// Agents and their revisions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentruntime/v1/agent.pb.h"
#include "proto/util/limits.h"

namespace agentruntime {

// How many a store keeps; what it has over a bound that was lowered stays.
struct AgentBounds {
  int64_t agents_max = kAgentsMax;
  int64_t revisions_max = kRevisionsPerAgentMax;  // of one agent
};

// Thread-safe. Every call blocks on the disk: call it on a blocking pool. Writes return when they are durable; while the store cannot write they fail
// with UNAVAILABLE (StoreUnavailable). What is damaged is DATA_LOSS (AgentDamaged) where it is named. Agents come back with every output-only field set; `etag`
// is derived from the revision.
class AgentStore {
 public:
  virtual ~AgentStore() = default;

  // Revision 1. ALREADY_EXISTS (AgentExists); FAILED_PRECONDITION (AgentsFull).
  virtual absl::StatusOr<v1::Agent> Create(const v1::Agent& agent, absl::Time now) = 0;

  // A new revision, or the current one if the content (everything but output-only fields and etag) is the same and whole.
  // NOT_FOUND (AgentNotFound) unless `allow_missing`; ABORTED (EtagStale) if agent.etag() is given and not the current one; FAILED_PRECONDITION (AgentsFull,
  // RevisionsFull).
  virtual absl::StatusOr<v1::Agent> Update(const v1::Agent& agent, bool allow_missing, absl::Time now) = 0;

  // `revision` 0: the newest. NOT_FOUND (AgentNotFound).
  virtual absl::StatusOr<v1::Agent> Get(absl::string_view agent_id, int32_t revision) = 0;

  // Newest revisions by name, after the agent id `after` ("" for the first); at most kPageSizeMax + 1, and none behind the one, other
  // than the first, with which they have more than kPageBytesMax. Damaged ones are left out and
  // logged.
  virtual absl::StatusOr<std::vector<v1::Agent>> List(absl::string_view after, int32_t limit) = 0;
};

}  // namespace agentruntime
