// What reaches a session: commands, one after the other, and calls to look again. Lives on the session's strand.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "runtime/fifo.h"
#include "runtime/strand.h"
#include "runtime/timers.h"

namespace agentruntime {

// Bounded by what fills it: commands, which the scheduler counts.
class Inbox {
 public:
  using Item = absl::AnyInvocable<void()>;

  // Borrowed; they outlive the inbox. `strand`: the session's.
  Inbox(Timers& timers, const Strand& strand) : timers_(timers), strand_(strand) {}

  // Calls for a look, too.
  void Push(Item item);
  // Calls for a look.
  void Wake();
  // Waits until somebody has called for a look since the last wait, or until `wake` has passed, if it is given. Items stay until they are taken: there are
  // times when a session does not take any.
  boost::asio::awaitable<void> Ready(std::optional<absl::Duration> wake);
  // Runs the next item, if there is one.
  void TakeOne();
  bool empty() const { return items_.empty(); }
  // Whether the next wait ends at once.
  bool is_woken() const { return woken_; }

 private:
  Timers& timers_;
  const Strand& strand_;
  Fifo<Item> items_;
  bool woken_ = false;
  absl::AnyInvocable<void()> resume_;  // of the waiting coroutine
};

}  // namespace agentruntime
