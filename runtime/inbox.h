// What reaches a session: outcomes of attempts and commands, one after the other. Lives on the session's strand.
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

// Bounded by what fills it: one outcome for each attempt under way (at most kCallsPerDecisionMax), and commands, which the scheduler counts.
class Inbox {
 public:
  using Item = absl::AnyInvocable<void()>;

  // Borrowed; they outlive the inbox. `strand`: the session's.
  Inbox(Timers& timers, const Strand& strand) : timers_(timers), strand_(strand) {}

  void Push(Item item);
  // Waits until there is an item, or until `wake` has passed, if it is given. Items are taken apart from it: a result would take room in every frame that
  // waits.
  boost::asio::awaitable<void> Ready(std::optional<absl::Duration> wake);
  // Runs the next item, if there is one.
  void TakeOne();
  bool empty() const { return items_.empty(); }

 private:
  Timers& timers_;
  const Strand& strand_;
  Fifo<Item> items_;
  absl::AnyInvocable<void()> resume_;  // of the waiting coroutine
};

}  // namespace agentruntime
