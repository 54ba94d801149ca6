// Which call of a store's disk fails in a server that has failing_disk.cc loaded: a file that the test writes and the server has mapped.
#pragma once

#include <semaphore.h>

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
  sem_t held;                  // posted by each that is to fail, when it has come; shared between the processes, as the next
  sem_t goes_on;               // once it was posted, they fail
  std::atomic<int64_t> at;     // of these calls the first that fails, from 1; 0: none
};

}  // namespace agentruntime::testing
