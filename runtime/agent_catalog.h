// Agents as runs use them: revisions and the plans made of them, kept in memory because each submit needs one.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/base/mutex.h"
#include "proto/util/names.h"
#include "runtime/environment.h"
#include "runtime/json_schema.h"
#include "runtime/offer.h"
#include "runtime/plan.h"

namespace agentruntime {

// Thread-safe. Find answers from memory; Load and what changes agents block, so they belong on the blocking pool.
class AgentCatalog {
 public:
  // Compiles the schema of every tool. INVALID_ARGUMENT if one is none. `environment` outlives the catalog.
  static absl::StatusOr<std::unique_ptr<AgentCatalog>> Make(const Environment& environment);

  // The plan of a revision, or of the newest one, if it is in memory; else null.
  std::shared_ptr<const RunPlan> Find(const AgentName& name);
  // The same out of the store. NOT_FOUND.
  absl::StatusOr<std::shared_ptr<const RunPlan>> Load(const AgentName& name);

  absl::StatusOr<v1::Agent> Create(const v1::Agent& agent);
  absl::StatusOr<v1::Agent> Update(const v1::Agent& agent, bool allow_missing);

  // AgentUnusable unless the agent's model and tools are configured here and fit each other.
  absl::Status CheckUsable(const v1::Agent& agent) const { return agentruntime::CheckUsable(offer_, agent); }

 private:
  explicit AgentCatalog(const Environment& environment) : environment_(environment) {}

  std::shared_ptr<const RunPlan> Plan(v1::Agent agent) const;
  void Remember(const std::shared_ptr<const RunPlan>& plan, bool newest) ABSL_LOCKS_EXCLUDED(mu_);

  const Environment& environment_;
  Offer offer_;                                                                  // fixed
  absl::flat_hash_map<std::string, std::shared_ptr<const JsonSchema>> schemas_;  // by tool; fixed

  Mutex mu_;
  absl::flat_hash_map<std::string, std::shared_ptr<const RunPlan>> revisions_ ABSL_GUARDED_BY(mu_);  // by revision name
  absl::flat_hash_map<std::string, std::shared_ptr<const RunPlan>> newest_ ABSL_GUARDED_BY(mu_);     // by agent id
};

}  // namespace agentruntime
