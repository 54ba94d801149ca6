// A few read connections, lent out one at a time.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/base/mutex.h"
#include "storage/sqlite/database.h"

namespace agentruntime::sqlite {

// A read transaction ends after so many rows: a longer one would keep the log from being cut.
inline constexpr int kReadRowsMax = 1000;

// Thread-safe.
class Readers {
 public:
  static absl::StatusOr<std::unique_ptr<Readers>> Open(const Database::Options& options, int count);
  ~Readers();

  // A connection, given back on destruction: what is left of its statements and its transaction ends there.
  class Lease {
   public:
    Lease(Readers& readers, std::unique_ptr<Database> database) : readers_(&readers), database_(std::move(database)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    Database& operator*() { return *database_; }
    Database* operator->() { return database_.get(); }

   private:
    Readers* readers_;
    std::unique_ptr<Database> database_;
  };

  // Waits for a free one. RESOURCE_EXHAUSTED if there is none for 10 s.
  absl::StatusOr<Lease> Acquire() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  explicit Readers(std::vector<std::unique_ptr<Database>> databases);

  const size_t count_;
  Mutex mu_;
  CondVar returned_;
  std::vector<std::unique_ptr<Database>> free_ ABSL_GUARDED_BY(mu_);
};

}  // namespace agentruntime::sqlite
