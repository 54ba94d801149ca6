// Waiting, through one seam: runtime code names no timer of its own, so that a simulation can move time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace agentruntime {

// Thread-safe.
class Timers {
 public:
  // One wait under way; dropping it cancels the wait: afterwards the function is not called, if it is dropped on the executor that it runs on.
  // The function may drop its own wait.
  class Wait {
   public:
    virtual ~Wait() = default;
  };

  virtual ~Timers() = default;
  // Calls `then` on `executor` once `delay` has passed.
  virtual std::unique_ptr<Wait> After(absl::Duration delay, boost::asio::any_io_executor executor, absl::AnyInvocable<void()> then) = 0;
  // The same for waits that may end a little late, 50 ms at the most: they end together. Thousands of idle streams that wake the threads one by one cost nearly
  // twice what they do in groups.
  virtual std::unique_ptr<Wait> AfterRoughly(absl::Duration delay, boost::asio::any_io_executor executor, absl::AnyInvocable<void()> then) {
    return After(delay, std::move(executor), std::move(then));
  }
  // Suspends the coroutine for `delay`; ends early, without an error, when its cancellation slot fires: ask `cancelled()` of the coroutine's state.
  boost::asio::awaitable<void> Sleep(absl::Duration delay);
};

// Real time. One ordered list of waits and one thread that hands over what is due: an Asio timer keeps twice the memory for each wait, and a server has one
// or two for every run.
class SystemTimers final : public Timers {
 public:
  SystemTimers();
  ~SystemTimers() override;  // as Stop
  // What is not due yet never will be, and the thread has ended. Before the executors of waits do: the thread may still be on its way out of the post that
  // ended one. Not from two threads at once.
  void Stop();
  std::unique_ptr<Wait> After(absl::Duration delay, boost::asio::any_io_executor executor, absl::AnyInvocable<void()> then) override;
  std::unique_ptr<Wait> AfterRoughly(absl::Duration delay, boost::asio::any_io_executor executor, absl::AnyInvocable<void()> then) override;
  // The next step of the grid that rough waits end on.
  static std::chrono::steady_clock::time_point RoughEnd(std::chrono::steady_clock::time_point end);

 private:
  class Waits;
  const std::shared_ptr<Waits> waits_;  // a Wait may outlive the timers
  std::thread thread_;
};

}  // namespace agentruntime
