// Text that came from outside.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime {

// Whether `text` is valid UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
bool IsValidUtf8(absl::string_view text);
// `text` with each invalid byte replaced by U+FFFD.
std::string MakeValidUtf8(absl::string_view text);
// The longest prefix of at most `bytes_max` bytes that does not cut a character.
absl::string_view CutUtf8(absl::string_view text, size_t bytes_max);
// The first `characters_max` characters on one line: white space is folded; an ellipsis stands for the rest.
std::string OneLine(absl::string_view text, size_t characters_max);
// The inside of a JSON string: quotes, backslashes and control characters escaped. `text` is valid UTF-8.
std::string EscapeJson(absl::string_view text);

}  // namespace agentruntime
