// One value from any thread to one waiting coroutine.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "proto/base/mutex.h"

namespace agentruntime {

// The first value counts, later ones are dropped: whoever would answer and whoever gives up may race. Thread-safe. Shared between both sides.
template <typename T>
class Completion : public std::enable_shared_from_this<Completion<T>> {
 public:
  // True if this value is the one.
  bool Complete(T value) {
    absl::AnyInvocable<void()> wake;
    {
      MutexLock lock(mu_);
      if (done_) return false;
      done_ = true;
      value_ = std::move(value);
      wake = std::exchange(wake_, nullptr);
    }
    if (wake) wake();
    return true;
  }

  // Once. Continues on the coroutine's executor. A cancellation does not end it: complete it instead.
  boost::asio::awaitable<T> Wait() {
    const auto self = this->shared_from_this();
    const auto executor = co_await boost::asio::this_coro::executor;
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void()>(
        [self, executor](auto handler) {
          absl::AnyInvocable<void()> wake = [executor, shared = std::make_shared<decltype(handler)>(std::move(handler))]() mutable {
            boost::asio::post(executor, [shared = std::move(shared)]() mutable { std::move (*shared)(); });
          };
          {
            MutexLock lock(self->mu_);
            if (!self->done_) {
              self->wake_ = std::move(wake);
              return;
            }
          }
          wake();
        },
        boost::asio::use_awaitable);
    MutexLock lock(mu_);
    co_return std::move(*value_);
  }

 private:
  Mutex mu_;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<T> value_ ABSL_GUARDED_BY(mu_);
  absl::AnyInvocable<void()> wake_ ABSL_GUARDED_BY(mu_);
};

}  // namespace agentruntime
