// A file as a server of an older format wrote it.
#pragma once

#include <string>

namespace agentruntime::testing {

inline constexpr int kOldStoreRuns = 3;
inline constexpr int kOldStoreEvents = 9;      // of each run: event 1 of TestRun, then TestEvent
inline constexpr int kOldStoreBodyBytes = 40;  // as TestEvent takes them

// Makes a closed database of format 1 or 2 with three stopped runs at `path`, then runs `sql` on it: damage, say.
void MakeOldStore(const std::string& path, int format, const std::string& sql = "");

}  // namespace agentruntime::testing
