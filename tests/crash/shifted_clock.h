// What a server with a shifted clock takes for wall time: a file that the test writes and the server has mapped.
#pragma once

#include <atomic>
#include <cstdint>

namespace agentruntime::testing {

// Wall time goes on by `rate` from the moment `since_s`, and is ahead by `shift_s`. Each may change at any moment; `since_s` before `rate`.
struct WallClock {
  std::atomic<int64_t> shift_s = 0;
  std::atomic<int64_t> since_s = 0;  // since 1970
  std::atomic<double> rate = 1;
};

}  // namespace agentruntime::testing
