// Where calls run, and how many there are.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "proto/base/clock.h"
#include "proto/base/mutex.h"
#include "proto/util/limits.h"
#include "server/rpc/answer_room.h"

namespace agentruntime::rpc {

// Calls that have begun and of which gRPC or a coroutine still holds a part: a bounded number, for each takes memory until it ends. Thread-safe.
class OpenCalls {
 public:
  explicit OpenCalls(int64_t most = kOpenCallsMax) : most_(most) {}

  // False if there are as many as there may be: then the call is refused, and does not leave.
  bool Enter() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (count_ >= most_) return false;
    ++count_;
    return true;
  }
  void Leave() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (--count_ == 0) none_.NotifyAll();
  }
  // Returns when there is none, or after `most`.
  void AwaitNone(absl::Duration most) ABSL_LOCKS_EXCLUDED(mu_) {
    const SystemClock clock;  // not by the wall clock, which may be set meanwhile
    const absl::Duration deadline = clock.Monotonic() + most;
    MutexLock lock(mu_);
    while (count_ > 0 && clock.Monotonic() < deadline) none_.WaitFor(mu_, deadline - clock.Monotonic());
  }
  // However long that takes.
  void AwaitNone() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    while (count_ > 0) none_.Wait(mu_);
  }
  int64_t most() const { return most_; }

 private:
  const int64_t most_;
  Mutex mu_;
  CondVar none_;
  int64_t count_ ABSL_GUARDED_BY(mu_) = 0;
};

// Outlives every call.
struct Host {
  boost::asio::any_io_executor pool;
  OpenCalls calls;
  AnswerRoom answers = {};
};

}  // namespace agentruntime::rpc
