// A part of a test that may end its process.
#pragma once

#include <functional>

namespace agentruntime::testing {

// What a store ends its process with when it cannot go on.
inline constexpr int kFailStopCode = 74;
// How long a child may take; then it is ended by a signal.
inline constexpr unsigned kChildSecondsMax = 100;

// Does `live` in a process of its own, whose stderr is silent. Its exit code, 0 if `live` returns, or 128 + the signal that ended it. Whoever calls this has
// one thread.
int RunInChild(const std::function<void()>& live);

}  // namespace agentruntime::testing
