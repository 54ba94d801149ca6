// Characters that a stream cut in half. Providers that count in UTF-16 end one fragment with half of an emoji (`\ud83d`) and begin the next with the other
// (`\ude00`): each fragment alone is JSON that no strict parser takes.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime {

// `json` with each escape of half a character turned into a mark that parsers take and SurrogateJoiner knows.
std::string MarkHalfCharacters(absl::string_view json);

// Puts the fragments of one text together. Not thread-safe.
class SurrogateJoiner {
 public:
  // What is known of the text after one more fragment; a half at its end is held back for the next.
  std::string Take(absl::string_view fragment);
  // What was held back, as U+FFFD.
  std::string Finish();

 private:
  uint32_t high_ = 0;  // the first half of a character, 0: none
};

}  // namespace agentruntime
