// Words, as the text index cuts them: runs of letters and digits; every byte above ASCII counts as a letter.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace agentruntime {

inline constexpr size_t kWordBytesMax = 64;  // longer ones are cut

// The words of `text` in order, as they stand there; views into it.
std::vector<absl::string_view> Words(absl::string_view text);

// Whether a word says nothing about what is asked ("the", "how", "is"). Any case.
bool IsStopWord(absl::string_view word);

// What to search for when asked `text`: its words without stop words, each once whatever its case, at most `words_max`. All of them if nothing else is left.
std::vector<std::string> SearchWords(absl::string_view text, size_t words_max);

// What a request is about: as SearchWords, but without words that only say what to do ("find", "summarize briefly", "current", "documentation"), and empty
// if nothing else is left. Words that are also things ("report", "list") are left out only where a sentence begins or goes on with a command.
std::vector<std::string> TopicWords(absl::string_view sentence, size_t words_max);

}  // namespace agentruntime
