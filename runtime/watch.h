// One follower of one run.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "absl/status/statusor.h"
#include "runtime/encoded_response.h"

namespace agentruntime {

// Used by one coroutine at a time. Dropping it ends the watch; that never touches the run.
class Watch {
 public:
  virtual ~Watch() = default;
  // The next message; none at the end (the last event sent was a stop). Errors: ServerDraining, RunNotFound (deleted meanwhile), RunDamaged or AgentDamaged:
  // an event cannot be read, or the run was set aside, and nothing follows the last one sent.
  // A watcher that does not ask holds a bounded buffer only, and then catches up from the journal. Ends early with CANCELLED when Close was called.
  virtual boost::asio::awaitable<absl::StatusOr<EncodedResponse>> Next() = 0;
  // Wakes a Next under way. Thread-safe; idempotent.
  virtual void Close() = 0;
};

}  // namespace agentruntime
