// A file as a server of an older format wrote it.
#pragma once

#include <string>

namespace agentruntime::testing {

inline constexpr int kOldFormats = 5;          // that are not this server's
inline constexpr int kOldStoreRuns = 3;        // of formats 1 and 2
inline constexpr int kOldStoreEvents = 9;      // of each run, those that it shares included: event 1 of TestRun, then TestEvent, and TestFork
inline constexpr int kOldStoreBodyBytes = 40;  // as TestEvent takes them

// Makes a closed database of format 1 to 5 at `path`, then runs `sql` on it: damage, say. Formats 1 and 2 have three stopped runs with ids of their own;
// 3 to 5 have runs TestRunId(1) to (7): stopped are 1 to 3, 4, a fork of 1 behind event 5, 5, a fork of 4 behind event 7, and 6, of the conversation `talk`
// and with TestArtifact(1, 1000); 7 is RUNNING. 5 remembers a deleted one, (8), whose request was `gone`.
void MakeOldStore(const std::string& path, int format, const std::string& sql = "");

}  // namespace agentruntime::testing
