#include "storage/sqlite/readers.h"

#include <utility>

#include "absl/time/time.h"
#include "proto/base/clock.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"

namespace agentruntime::sqlite {
namespace {

constexpr absl::Duration kWaitMax = absl::Seconds(10);

}  // namespace

absl::StatusOr<std::unique_ptr<Readers>> Readers::Open(const Database::Options& options, int count) {
  std::vector<std::unique_ptr<Database>> databases;
  for (int i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(databases.emplace_back(), Database::Open(options));
  }
  return std::unique_ptr<Readers>(new Readers(std::move(databases)));
}

Readers::Readers(std::vector<std::unique_ptr<Database>> databases) : count_(databases.size()), free_(std::move(databases)) {}

Readers::~Readers() = default;

absl::StatusOr<Readers::Lease> Readers::Acquire() {
  // Not by the wall clock: one that is set back an hour would make it an hour.
  const SystemClock clock;
  const absl::Duration deadline = clock.Monotonic() + kWaitMax;
  MutexLock lock(mu_);
  while (free_.empty()) {
    const absl::Duration left = deadline - clock.Monotonic();
    if (left <= absl::ZeroDuration()) return TooManyAtOnce("reads of the store", static_cast<int64_t>(count_));
    returned_.WaitFor(mu_, left);
  }
  // The one that was used last has the warmest cache.
  std::unique_ptr<Database> database = std::move(free_.back());
  free_.pop_back();
  return Lease(*this, std::move(database));
}

Readers::Lease::~Lease() {
  if (database_ == nullptr) return;
  database_->ClearError();
  database_->Rollback();
  database_->ClearError();
  MutexLock lock(readers_->mu_);
  readers_->free_.push_back(std::move(database_));
  readers_->returned_.NotifyOne();
}

}  // namespace agentruntime::sqlite
