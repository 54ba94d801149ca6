// What time it is, through one seam that tests and simulations set.
#pragma once

#include "absl/time/time.h"

namespace agentruntime {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall time: what people read. It may jump.
  virtual absl::Time Now() const = 0;
  // Time since some fixed instant: never jumps, never runs backwards. For durations and timeouts.
  virtual absl::Duration Monotonic() const = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override;
  absl::Duration Monotonic() const override;
};

}  // namespace agentruntime
