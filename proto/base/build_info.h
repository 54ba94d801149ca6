// What this program is.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime {

absl::string_view Version();    // 0.1.0
std::string Compiler();         // clang 19.1.7
absl::string_view BuildType();  // release, or debug where assertions are on

}  // namespace agentruntime
