// What the system lets this process have: files, of which each connection is one, and address space.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace agentruntime {

// What a server opens by itself, and a few callers: gRPC ends the process where it gets no more for its own.
inline constexpr int64_t kDescriptorsMin = 64;
// Mostly stacks of threads that are never used. gRPC hangs or crashes where it cannot start one.
inline constexpr int64_t kAddressSpaceMin = 512 << 20;

// As many as the system grants.
void RaiseDescriptorLimit();

int64_t DescriptorsMax();

// FAILED_PRECONDITION if `descriptors_max` are fewer than kDescriptorsMin, or there is less address space than kAddressSpaceMin; says how to get more.
absl::Status CheckProcessLimits(int64_t descriptors_max);

}  // namespace agentruntime
