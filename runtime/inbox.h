// What reaches a session: commands, one after the other, and calls to look again. Lives on the session's strand.
#pragma once

#include <memory>
#include <optional>
#include <utility>

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
  // Whether somebody has called for a look since this was asked last.
  bool TakeCall() { return std::exchange(called_, false); }
  // Calls `look`, once, on the strand, never from within this: when somebody calls for a look, or when `wake` has passed, if it is given. One at a time; not
  // while a call is not taken. Items stay until they are taken: there are times when a session does not take any.
  void Await(std::optional<absl::Duration> wake, absl::AnyInvocable<void()> look);
  // Runs the next item, if there is one.
  void TakeOne();
  bool empty() const { return items_.empty(); }
  // What TakeCall would say.
  bool is_called() const { return called_; }

 private:
  void Look();

  Timers& timers_;
  const Strand& strand_;
  Fifo<Item> items_;
  bool called_ = false;
  absl::AnyInvocable<void()> look_;      // null: nobody waits
  std::unique_ptr<Timers::Wait> timer_;  // of who waits
};

}  // namespace agentruntime
