// Room for large results between the tools that returned them and the disk: what comes when it is full waits its turn, and with it the run that called.
//
// What of results is in memory, however slow the disk is and for as long as it is full:
//   below the room's bound      what has room here, until the store has it
//   places x the most of one    what waits for room, or for its session to record it: it keeps the place among the requests under way that brought it
//                               (ToolDone::place, http/place.h), so that no more are asked for than there are places. Requests without one wait for theirs
//                               as for any other, and fail when their time is up
//   64 KiB a call               what our own tools return, which is bounded as runs and their calls are; so is the one outcome of its model that a run has
//   as the disk lets through    answers of other runs: they were durable before they came, and each is a decision's text at most
// Whoever keeps a place waits for the disk and for nobody else who might need one: never for another request.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>

#include "proto/base/mutex.h"
#include "runtime/completion.h"
#include "runtime/fifo.h"

namespace agentruntime {

// Thread-safe.
class StagingRoom : public std::enable_shared_from_this<StagingRoom> {
 public:
  // Gives its bytes back when the last copy goes. Null once the room is closed.
  using Lease = std::shared_ptr<const void>;

  explicit StagingRoom(int64_t bytes_max) : bytes_max_(bytes_max) {}

  // First come, first served. More than the whole room takes the whole room.
  boost::asio::awaitable<Lease> Take(int64_t bytes);
  // From here on nobody waits.
  void Close() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiter {
    int64_t bytes = 0;
    std::shared_ptr<Completion<Lease>> turn;
  };

  // Null if there is no room now.
  Lease TryTake(int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void GiveBack(int64_t bytes) ABSL_LOCKS_EXCLUDED(mu_);

  const int64_t bytes_max_;
  Mutex mu_;
  int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;  // taken
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  Fifo<Waiter> waiting_ ABSL_GUARDED_BY(mu_);
};

}  // namespace agentruntime
