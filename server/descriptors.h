// Files that this process may open: each connection is one.
#pragma once

#include <cstdint>

namespace agentruntime {

// As many as the system grants.
void RaiseDescriptorLimit();

int64_t DescriptorsMax();

}  // namespace agentruntime
