// What one sync of the disk costs.
#pragma once

#include <string>

namespace agentruntime::bench {

// Median of `count` times appending 4 KiB to a file of `folder` and syncing it, in milliseconds.
double FdatasyncMillis(const std::string& folder, int count = 200);

}  // namespace agentruntime::bench
