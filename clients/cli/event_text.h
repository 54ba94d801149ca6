// Events in one line each.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"

namespace agentruntime::cli {

// Fed with the events of one run in order.
class EventLines {
 public:
  // The run's deadline, which a wait may end by; where the run's first events are fed too it is read off them, as it was then.
  explicit EventLines(absl::Time deadline = absl::InfiniteFuture()) : deadline_(deadline) {}

  // `search_docs OK in 3 ms`, `model gpt failed: HTTP 429`; printable.
  std::string Take(const v1::Event& event);

 private:
  absl::Time deadline_;
};

}  // namespace agentruntime::cli
