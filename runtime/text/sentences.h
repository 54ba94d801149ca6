// Where sentences end.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"

namespace agentruntime {

// A sentence as it stands in a text: without the white space around it.
struct Sentence {
  size_t offset = 0;  // of its first byte in the text
  absl::string_view text;
};

// Cuts prose into sentences, in order; views into `text`. A sentence ends with `.`, `!` or `?` (and closing quotes or brackets) before white space,
// unless an abbreviation, an initial or a list number stands there or the next word begins in lower case. An empty line ends one too. Linear in the text.
std::vector<Sentence> SplitSentences(absl::string_view text);

}  // namespace agentruntime
