// The live view: rows that stay, and below them a few lines about what is under way, drawn again and again.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/cli/output.h"
#include "clients/cli/run_view.h"

namespace agentruntime::cli {

inline constexpr int kLiveTextLinesMax = 8;  // of what the model writes
inline constexpr int kLiveWorkLinesMax = 8;  // of calls under way at once

// The lines below the rows, each narrower than the terminal so that none wraps: the end of the text that the model writes, then one line for each thing
// under way. `notice` stands last, if there is one.
std::vector<std::string> LiveLines(const Output& output, const RunView& view, absl::Time now, int frame, const std::string& notice);

}  // namespace agentruntime::cli
