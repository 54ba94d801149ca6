// Functions of one session or one call, one at a time and in order, on a pool of threads.
//
// What asio::strand promises, in an executor that any_io_executor holds in place: a strand over any_io_executor does not fit there, so Asio copies it through
// the heap, several times for every function that it posts and once for every coroutine that waits.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "proto/base/mutex.h"
#include "runtime/fifo.h"

namespace agentruntime {

// An executor. Copies are of the same strand; it lives as long as one of them, or as long as it has something to run. The pool must outlive that. It does
// not keep the pool at work while its coroutines wait: whoever stops a pool waits for them first.
class Strand {
 public:
  // A new one. No constructor: any_io_executor is made of every executor, so each would ask the other whether it is one.
  static Strand On(boost::asio::any_io_executor pool) { return Strand(std::make_shared<Queue>(std::move(pool)), /*may_run_inline=*/true); }

  // Asio's executor requirements. With blocking.possibly, the default, a function given from within the strand runs at once.
  template <typename Function>
  void execute(Function&& function) const {
    if (may_run_inline_ && queue_->IsRunningHere()) {
      std::decay_t<Function> own(std::forward<Function>(function));
      own();
      return;
    }
    queue_->Push([own = std::decay_t<Function>(std::forward<Function>(function))]() mutable { own(); });
  }
  boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept { return queue_->context(); }
  boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) const noexcept {
    if (may_run_inline_) return boost::asio::execution::blocking.possibly;
    return boost::asio::execution::blocking.never;
  }
  Strand require(boost::asio::execution::blocking_t::possibly_t) const noexcept { return Strand(queue_, true); }
  Strand require(boost::asio::execution::blocking_t::never_t) const noexcept { return Strand(queue_, false); }

  friend bool operator==(const Strand& a, const Strand& b) noexcept { return a.queue_ == b.queue_ && a.may_run_inline_ == b.may_run_inline_; }
  friend bool operator!=(const Strand& a, const Strand& b) noexcept { return !(a == b); }

 private:
  class Queue : public std::enable_shared_from_this<Queue> {
   public:
    explicit Queue(boost::asio::any_io_executor pool);
    boost::asio::execution_context& context() const noexcept { return context_; }
    bool IsRunningHere() const noexcept;
    void Push(absl::AnyInvocable<void()> function) ABSL_LOCKS_EXCLUDED(mu_);

   private:
    // On the pool, while there is something to run: what was there when it began, then the others of the pool have their turn.
    void Run() ABSL_LOCKS_EXCLUDED(mu_);
    void PostRun();

    const boost::asio::any_io_executor pool_;
    boost::asio::execution_context& context_;
    Mutex mu_;
    Fifo<absl::AnyInvocable<void()>> ready_ ABSL_GUARDED_BY(mu_);
    bool scheduled_ ABSL_GUARDED_BY(mu_) = false;  // a Run is under way or posted
  };

  Strand(std::shared_ptr<Queue> queue, bool may_run_inline) noexcept : queue_(std::move(queue)), may_run_inline_(may_run_inline) {}

  std::shared_ptr<Queue> queue_;
  bool may_run_inline_ = true;
};

}  // namespace agentruntime
