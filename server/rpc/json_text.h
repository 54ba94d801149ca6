// Whether a text is JSON.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime::rpc {

// Empty if `text` is one JSON value (RFC 8259) nested at most `depth_max` deep; else what is wrong and where.
std::string WhyNotJson(absl::string_view text, int depth_max);

}  // namespace agentruntime::rpc
