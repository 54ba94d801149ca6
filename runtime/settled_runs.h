// Runs that stopped or came to wait for a person just now, as the store has them: who creates a run, waits and asks for it needs no read then.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/id.h"
#include "proto/base/mutex.h"

namespace agentruntime {

inline constexpr size_t kSettledRunsMax = 1024;         // the latest, a run as often as it settled
inline constexpr size_t kSettledRunBytesMax = 4 << 10;  // of one, encoded: larger ones are read

// Right because a run is kept on the store's thread as its commit is done, if nothing more of it was handed to the store, and dropped before that. Thread-safe.
class SettledRuns {
 public:
  // A large one is not kept, nor what it replaces.
  void Keep(const RunId& run, std::shared_ptr<const v1::Run> settled) ABSL_LOCKS_EXCLUDED(mu_);
  void Drop(const RunId& run) ABSL_LOCKS_EXCLUDED(mu_);
  // Around each deletion, whatever becomes of it: nothing of the run is kept from the one to the other.
  void BeginDelete(const RunId& run) ABSL_LOCKS_EXCLUDED(mu_);
  void EndDelete(const RunId& run) ABSL_LOCKS_EXCLUDED(mu_);
  // Null: it is not known here.
  std::shared_ptr<const v1::Run> Find(const RunId& run) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Kept {
    uint64_t number = 0;
    std::shared_ptr<const v1::Run> run;
  };

  Mutex mu_;
  absl::flat_hash_map<RunId, Kept> kept_ ABSL_GUARDED_BY(mu_);
  std::deque<std::pair<uint64_t, RunId>> order_ ABSL_GUARDED_BY(mu_);  // as they were kept, those that were dropped included
  uint64_t last_number_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<RunId, int> deletes_ ABSL_GUARDED_BY(mu_);  // that have begun
};

}  // namespace agentruntime
