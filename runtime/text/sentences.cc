#include "runtime/text/sentences.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace agentruntime {
namespace {

// In lower case, without the last dot.
constexpr std::array<absl::string_view, 22> kAbbreviations = {"approx", "ca",  "cf",  "co", "dept", "dr", "e.g", "eg", "etc", "fig", "i.e",
                                                              "ie",     "inc", "ltd", "mr", "mrs",  "ms", "no",  "nr", "st",  "u.s", "vs"};
// Ends of "no." and "co." and the like are looked for in so many bytes before the dot.
constexpr size_t kAbbreviationBytesMax = 8;

bool IsMark(char c) { return c == '.' || c == '!' || c == '?'; }

bool Closes(char c) { return absl::StrContains(")]}\"'*_`", absl::string_view(&c, 1)); }

// Whether the dot at `dot` belongs to the word before it.
bool IsAbbreviation(absl::string_view text, size_t dot) {
  size_t begin = dot;
  while (begin > 0 && dot - begin <= kAbbreviationBytesMax && (absl::ascii_isalnum(text[begin - 1]) || text[begin - 1] == '.')) --begin;
  const std::string word = absl::AsciiStrToLower(text.substr(begin, dot - begin));
  if (word.size() == 1 && absl::ascii_isupper(text[begin])) return true;  // an initial
  const bool first = begin == 0 || text[begin - 1] == '\n';
  if (first && !word.empty() && std::all_of(word.begin(), word.end(), absl::ascii_isdigit)) return true;  // "1." of a list
  // "No." is a number only before a digit, else an answer.
  if (word == "no") return dot + 2 < text.size() && absl::ascii_isdigit(text[dot + 2]);
  return std::find(kAbbreviations.begin(), kAbbreviations.end(), absl::string_view(word)) != kAbbreviations.end();
}

// One past the end of the sentence whose last mark is at `mark`, or 0 if it does not end there.
size_t EndAfter(absl::string_view text, size_t mark) {
  size_t end = mark + 1;
  while (end < text.size() && IsMark(text[end])) ++end;
  while (end < text.size() && Closes(text[end])) ++end;
  if (end == text.size()) return end;
  if (!absl::ascii_isspace(text[end])) return 0;
  size_t next = end;
  while (next < text.size() && absl::ascii_isspace(text[next])) ++next;
  if (next < text.size() && absl::ascii_islower(text[next]) && text[mark] == '.') return 0;
  if (text[mark] == '.' && IsAbbreviation(text, mark)) return 0;
  return end;
}

bool IsEmptyLineAt(absl::string_view text, size_t newline) {
  for (size_t i = newline + 1; i < text.size(); ++i) {
    if (text[i] == '\n') return true;
    if (!absl::ascii_isspace(text[i])) return false;
  }
  return false;
}

}  // namespace

std::vector<Sentence> SplitSentences(absl::string_view text) {
  std::vector<Sentence> sentences;
  size_t begin = 0;
  const auto cut = [&](size_t end) {
    while (begin < end && absl::ascii_isspace(text[begin])) ++begin;
    size_t last = end;
    while (last > begin && absl::ascii_isspace(text[last - 1])) --last;
    if (last > begin) sentences.push_back({begin, text.substr(begin, last - begin)});
    begin = end;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n' && IsEmptyLineAt(text, i)) {
      cut(i);
    } else if (IsMark(c)) {
      if (const size_t end = EndAfter(text, i); end != 0) {
        cut(end);
        i = end - 1;
      } else {
        while (i + 1 < text.size() && IsMark(text[i + 1])) ++i;  // one answer for the whole run
      }
    }
  }
  cut(text.size());
  return sentences;
}

}  // namespace agentruntime
