// Replies to writes: each waits for durability, and is given up as UNAVAILABLE when the store cannot write.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/mutex.h"
#include "proto/util/errors.h"
#include "runtime/completion.h"

namespace agentruntime {

template <typename T>
using Reply = Completion<absl::StatusOr<T>>;

// The replies that wait now. Thread-safe.
template <typename T>
class PendingReplies {
 public:
  // A reply that is given up with StoreUnavailable if the store stops writing; at once if it does not write now.
  std::shared_ptr<Reply<T>> Make() {
    auto reply = std::make_shared<Reply<T>>();
    MutexLock lock(mu_);
    if (!writable_) {
      reply->Complete(StoreUnavailable(kWhy));
      return reply;
    }
    // The oldest are answered first, so what is answered sits in front; a reply that outlives its neighbours is met again later.
    while (!waiting_.empty() && waiting_.front().expired()) waiting_.pop_front();
    waiting_.push_back(reply);
    return reply;
  }

  void SetWritable(bool writable) {
    std::deque<std::weak_ptr<Reply<T>>> waiting;
    {
      MutexLock lock(mu_);
      writable_ = writable;
      if (!writable) waiting.swap(waiting_);
    }
    for (const auto& weak : waiting) {
      if (const auto reply = weak.lock()) reply->Complete(StoreUnavailable(kWhy));
    }
  }

  // OK, or StoreUnavailable.
  absl::Status CheckWritable() {
    MutexLock lock(mu_);
    return writable_ ? absl::OkStatus() : StoreUnavailable(kWhy);
  }

 private:
  static constexpr const char* kWhy = "the disk is full or busy";

  Mutex mu_;
  bool writable_ ABSL_GUARDED_BY(mu_) = true;
  std::deque<std::weak_ptr<Reply<T>>> waiting_ ABSL_GUARDED_BY(mu_);
};

}  // namespace agentruntime
