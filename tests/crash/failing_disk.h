// Which call of a store's disk fails in a server that has failing_disk.cc loaded: a file that the test writes and the server has mapped.
#pragma once

#include <atomic>
#include <cstdint>

namespace agentruntime::testing {

// The other fields before `at`.
struct FailingDisk {
  enum class Call : int { kWrite, kSync };
  enum class File : int { kDatabase, kLog };

  std::atomic<Call> call;
  std::atomic<File> file;
  std::atomic<int64_t> times;  // how many fail, with EIO
  std::atomic<int64_t> seen;   // calls of that kind on that file since `at` was set
  std::atomic<bool> is_held;   // the first that fails has come, and waits for `goes_on`
  std::atomic<bool> goes_on;   // now it fails
  std::atomic<int64_t> at;     // of these calls the first that fails, from 1; 0: none
};

}  // namespace agentruntime::testing
