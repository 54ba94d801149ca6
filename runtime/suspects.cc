#include "runtime/suspects.h"

#include "proto/util/limits.h"

namespace agentruntime {

std::optional<Suspect> SuspectOf(const RunId& run, int32_t barren_starts) {
  if (barren_starts < kBarrenStartsSuspect) return std::nullopt;
  absl::Duration probation = kSuspectProbation;
  for (int32_t start = kBarrenStartsSuspect; start < barren_starts && probation < kSuspectProbationMax; ++start) probation *= 2;
  return Suspect{run, probation};
}

void Suspects::Push(const Suspect& suspect) {
  if (in_line_.insert(suspect.run).second) line_.push_back(suspect);
}

std::optional<Suspect> Suspects::Begin() {
  if (current_ || line_.empty()) return std::nullopt;
  current_ = line_.front();
  line_.pop_front();
  in_line_.erase(current_->run);
  return current_;
}

bool Suspects::End(const RunId& run) {
  if (!HasTurn(run)) return false;
  current_.reset();
  return true;
}

}  // namespace agentruntime
