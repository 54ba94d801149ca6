#include "storage/sqlite/core.h"

#include "proto/base/log.h"
#include "proto/util/names.h"

namespace agentruntime::sqlite {

void SetAside::Note(const RunId& run, const absl::Status& status) {
  if (status.code() != absl::StatusCode::kDataLoss) return;
  {
    MutexLock lock(mu_);
    if (runs_.size() >= kRunsMax || !runs_.insert(run).second) return;
  }
  Log(LogLevel::kError, "a run is damaged and set aside", {{"run", RunName(run)}, {"why", std::string(status.message())}});
}

void SetAside::Forget(const RunId& run) {
  MutexLock lock(mu_);
  runs_.erase(run);
}

int64_t SetAside::count() {
  MutexLock lock(mu_);
  return static_cast<int64_t>(runs_.size());
}

}  // namespace agentruntime::sqlite
