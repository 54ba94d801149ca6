// Cuts a document into the pieces that search finds and answers quote.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "storage/text_index.h"

namespace agentruntime {

// A longer piece is cut, code at the end of a line where there is one.
inline constexpr size_t kPassageBytesMax = 2000;

enum class DocumentFormat {
  kMarkdown,
  kPlainText,
};

// Passages of `text` (valid UTF-8) in order. Prose: one for each sentence, line breaks folded to spaces, else verbatim. Markdown besides: a list item, a row
// of a table are never joined with their neighbours; fenced code is one passage with its lines kept; headings stand in `Passage::heading` of what follows,
// and rules, link definitions, comments and front matter are left out. Linear in the text.
std::vector<Passage> SplitPassages(absl::string_view text, DocumentFormat format);

}  // namespace agentruntime
