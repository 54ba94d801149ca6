// Ready work and timers of one simulated process, on virtual time. Which ready handler runs next is up to the dice: Asio's own order finds few bugs.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <map>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "runtime/timers.h"
#include "tests/simulation/dice.h"

namespace agentruntime::simulation {

// One thread only. A strand over its executors keeps its order, as Asio promises.
class Loop final : public boost::asio::execution_context, public Timers {
 public:
  using Task = absl::AnyInvocable<void()>;
  class Executor;

  // `now`: monotonic time, moved by whoever runs the loops.
  Loop(uint64_t seed, uint64_t stream, const absl::Duration* now) : dice_(seed, stream), now_(now) {}
  ~Loop() override;

  boost::asio::any_io_executor pool();
  // Its work is sometimes late, as a busy disk is.
  boost::asio::any_io_executor blocking_pool();

  std::unique_ptr<Wait> After(absl::Duration delay, boost::asio::any_io_executor executor, absl::AnyInvocable<void()> then) override;

  absl::Duration now() const { return *now_; }
  size_t ready() const { return ready_.size(); }
  // When the next timer is due.
  std::optional<absl::Duration> next_timer() const;
  // Makes ready what is due.
  void FireDue();
  // Runs one ready handler; there must be one.
  void RunOne();

  // From here on the loop has a time of its own: nobody else's moves on while it ends.
  void Detach();
  // Runs until nothing is ready and no timer is set, or `until` of its own time. After Detach. False: at `until`.
  bool RunToEnd(absl::Duration until);

 private:
  struct Timer {
    boost::asio::any_io_executor executor;
    absl::AnyInvocable<void()> then;
    bool dropped = false;
  };
  using Key = std::pair<absl::Duration, uint64_t>;
  class LoopWait;

  void Post(Task task, bool slow);

  Dice dice_;
  const absl::Duration* now_;
  absl::Duration own_now_;
  uint64_t next_number_ = 0;
  std::vector<Task> ready_;
  std::map<Key, std::shared_ptr<Timer>> timers_;
  std::map<Key, Task> late_;  // of the blocking pool
  bool closed_ = false;
};

// Says that it may block, as a pool's does: a strand over it then runs at once what is dispatched from within the strand. It never does so itself.
class Loop::Executor {
 public:
  Executor(Loop& loop, bool slow) noexcept : loop_(&loop), slow_(slow) {}

  boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept { return *loop_; }
  boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) const noexcept { return blocking_; }
  Executor require(boost::asio::execution::blocking_t::possibly_t possibly) const noexcept { return With(possibly); }
  Executor require(boost::asio::execution::blocking_t::never_t never) const noexcept { return With(never); }

  template <typename Function>
  void execute(Function&& function) const {
    loop_->Post([function = std::decay_t<Function>(std::forward<Function>(function))]() mutable { std::move(function)(); }, slow_);
  }
  friend bool operator==(const Executor& a, const Executor& b) noexcept { return a.loop_ == b.loop_ && a.slow_ == b.slow_ && a.blocking_ == b.blocking_; }
  friend bool operator!=(const Executor& a, const Executor& b) noexcept { return !(a == b); }

 private:
  Executor With(boost::asio::execution::blocking_t blocking) const noexcept {
    Executor other = *this;
    other.blocking_ = blocking;
    return other;
  }

  Loop* loop_;
  bool slow_;
  boost::asio::execution::blocking_t blocking_ = boost::asio::execution::blocking.possibly;
};

}  // namespace agentruntime::simulation
