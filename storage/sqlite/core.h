// What the stores over one file share.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/mutex.h"
#include "storage/sqlite/database_file.h"
#include "storage/sqlite/readers.h"
#include "storage/sqlite/writer.h"

namespace agentruntime::sqlite {

// Damaged runs that were met since the start. Thread-safe.
class SetAside {
 public:
  // Counts the run and logs why, once. Takes any status; only DATA_LOSS counts.
  void Note(const RunId& run, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  void Forget(const RunId& run) ABSL_LOCKS_EXCLUDED(mu_);
  int64_t count() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  static constexpr size_t kRunsMax = 10'000;  // those over it are neither counted nor logged

  Mutex mu_;
  std::set<RunId> runs_ ABSL_GUARDED_BY(mu_);
};

// Shared by the stores because none of them outlives all others by rule. Destroyed from the bottom up: the claim goes last.
struct Core {
  Core(FileClaim file_claim, const Clock& wall_clock) : claim(std::move(file_claim)), clock(wall_clock) {}

  FileClaim claim;
  const Clock& clock;
  SetAside set_aside;
  Epoch epoch = 0;
  std::string id;
  Epoch restored_epoch = 0;
  std::unique_ptr<Readers> readers;
  std::unique_ptr<Writer> writer;
};

}  // namespace agentruntime::sqlite
