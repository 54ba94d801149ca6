// JSON of others, however deep it is nested. The library reads and destroys any depth, but copies, compares and writes a value by recursion: a few hundred
// kilobytes of '[' end the process there.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime {

// How deep the arrays and objects of `text` are nested, 0 for a scalar. Of text that is no JSON: at least as deep as a parser gets before it sees that.
int JsonDepth(absl::string_view text);

// The value, or a discarded one if `text` is not JSON or nested deeper than `depth_max`: what is copied or written after this has a bound.
nlohmann::json ParseNestedJson(absl::string_view text, int depth_max);

// What dump() writes, on one line and with U+FFFD for what is not UTF-8, at any depth.
std::string WriteNestedJson(const nlohmann::json& value);

}  // namespace agentruntime
