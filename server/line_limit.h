// A bound on the lines of the log that somebody outside can cause.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "proto/base/mutex.h"

namespace agentruntime {

// Thread-safe.
class LineLimit {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit LineLimit(int lines_per_second_max) : lines_per_second_max_(lines_per_second_max) {}

  // Whether a line may be written now: how many were left out before it. nullopt: this one is left out, too.
  std::optional<int64_t> Admit(TimePoint now = std::chrono::steady_clock::now()) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (now >= second_end_) {
      second_end_ = now + std::chrono::seconds(1);
      lines_ = 0;
    }
    if (lines_ == lines_per_second_max_) {
      ++left_out_;
      return std::nullopt;
    }
    ++lines_;
    return std::exchange(left_out_, 0);
  }

 private:
  const int lines_per_second_max_;
  Mutex mu_;
  TimePoint second_end_ ABSL_GUARDED_BY(mu_);
  int lines_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t left_out_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace agentruntime
