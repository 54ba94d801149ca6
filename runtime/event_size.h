// The bound of one event, where what is in it comes from a caller.
#pragma once

#include "absl/status/status.h"
#include "agentruntime/v1/event.pb.h"

namespace agentruntime {

// INVALID_ARGUMENT if it does not fit into one event of the journal. The checks of each field let nothing through that does not; a store, which can only end
// the process over it, must not be what finds out that one is missing.
absl::Status CheckEventSize(const v1::Event& event);

}  // namespace agentruntime
