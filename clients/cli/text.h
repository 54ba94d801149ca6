// Text on a terminal: what is safe to print, and how wide it is.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace agentruntime::cli {

// `text` from a model, a tool, a document or a caller, made safe: escape sequences, control characters and characters that turn or hide text become visible
// (`\x1b`, `\u202e`), invalid UTF-8 becomes U+FFFD. Line ends stay, a tab becomes spaces.
std::string Printable(absl::string_view text);
// The same on one line, white space folded, at most `characters_max` characters.
std::string PrintableLine(absl::string_view text, size_t characters_max = 200);

// Columns that printable text takes: 2 for wide characters, 0 for those that join the one before.
int DisplayWidth(absl::string_view text);
// `text` cut to at most `width` columns, `...` at the end if something was cut off.
std::string CutToWidth(absl::string_view text, int width);
// `text` filled with spaces to `width` columns, never cut.
std::string PadRight(absl::string_view text, int width);
std::string PadLeft(absl::string_view text, int width);
// Lines of at most `width` columns; long ones are broken between words where there is one.
std::vector<std::string> WrapLines(absl::string_view text, int width);

}  // namespace agentruntime::cli
