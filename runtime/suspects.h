// Runs that were started again and again without progress. Each may be what ends the server, so they are taken up one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "proto/base/id.h"

namespace agentruntime {

struct Suspect {
  RunId run;
  // Restarts of other causes, in quick succession, make suspects of all runs whose models are slow: then the next begins after this, progress or not. Those
  // that were under way when the server ended once more have it for themselves for longer.
  absl::Duration probation;
};

// Nothing: no suspect, after so few starts.
std::optional<Suspect> SuspectOf(const RunId& run, int32_t barren_starts);

// Not thread-safe. At most one of them has its turn.
class Suspects {
 public:
  // One that is in line keeps its place.
  void Push(const Suspect& suspect);
  bool IsInLine(const RunId& run) const { return in_line_.contains(run); }
  // In line.
  size_t size() const { return line_.size(); }

  // The next one, whose turn begins. Nothing: another has its turn, or nobody is in line.
  std::optional<Suspect> Begin();
  std::optional<Suspect> current() const { return current_; }
  bool HasTurn(const RunId& run) const { return current_ && current_->run == run; }
  // Whether it was its turn that ends.
  bool End(const RunId& run);

 private:
  std::deque<Suspect> line_;
  absl::flat_hash_set<RunId> in_line_;  // looked up only
  std::optional<Suspect> current_;
};

}  // namespace agentruntime
