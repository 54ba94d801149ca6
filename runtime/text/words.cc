#include "runtime/text/words.h"

#include <set>

#include "absl/strings/ascii.h"
#include "proto/base/text.h"

namespace agentruntime {
namespace {

using WordSet = std::set<absl::string_view>;

bool IsWordByte(char c) { return absl::ascii_isalnum(c) || static_cast<unsigned char>(c) >= 0x80; }

const WordSet& StopWords() {
  static const auto* const words =
      new WordSet{"a",     "about", "after", "all",     "also",  "am",    "an",   "and",    "any",   "are",   "as",   "at",   "be",     "been",    "before",
                  "but",   "by",    "can",   "could",   "did",   "do",    "does", "doing",  "each",  "for",   "from", "get",  "happen", "happens", "had",
                  "has",   "have",  "he",    "her",     "here",  "his",   "how",  "i",      "if",    "in",    "into", "is",   "it",     "its",     "just",
                  "long",  "many",  "may",   "me",      "might", "more",  "most", "much",   "often", "must",  "my",   "no",   "not",    "of",      "on",
                  "or",    "our",   "out",   "over",    "s",     "shall", "she",  "should", "so",    "some",  "such", "t",    "than",   "that",    "the",
                  "their", "them",  "then",  "there",   "these", "they",  "this", "those",  "to",    "under", "up",   "us",   "was",    "we",      "were",
                  "what",  "when",  "where", "whether", "which", "while", "who",  "whom",   "whose", "why",   "will", "with", "would",  "you",     "your"};
  return *words;
}

// These never say what is asked.
const WordSet& InstructionWords() {
  static const auto* const words =
      new WordSet{"briefly",       "clearly",   "concise", "concisely", "current",   "currently", "describe", "doc",    "docs",      "document",
                  "documentation", "documents", "exactly", "explain",   "find",      "give",      "know",     "latest", "let",       "now",
                  "please",        "provide",   "quickly", "sentence",  "sentences", "short",     "shortly",  "show",   "summarise", "summarize",
                  "summary",       "tell",      "thank",   "thanks",    "today",     "want",      "wonder"};
  return *words;
}

// These do not where a command stands.
const WordSet& CommandWords() {
  static const auto* const words =
      new WordSet{"answer", "brief", "check", "detail", "details", "help", "list", "look", "need", "quick", "quote", "read", "report", "search"};
  return *words;
}

bool Contains(const WordSet& words, absl::string_view word) { return words.count(absl::AsciiStrToLower(word)) > 0; }

}  // namespace

std::vector<absl::string_view> Words(absl::string_view text) {
  std::vector<absl::string_view> words;
  for (size_t i = 0; i < text.size();) {
    if (!IsWordByte(text[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < text.size() && IsWordByte(text[i])) ++i;
    words.push_back(CutUtf8(text.substr(begin, i - begin), kWordBytesMax));
  }
  return words;
}

bool IsStopWord(absl::string_view word) { return Contains(StopWords(), word); }

std::vector<std::string> SearchWords(absl::string_view text, size_t words_max) {
  const std::vector<absl::string_view> words = Words(text);
  std::set<std::string> seen;
  std::vector<std::string> kept;
  for (const bool stop_words_too : {false, true}) {
    for (const absl::string_view word : words) {
      if (kept.size() == words_max) return kept;
      if (!stop_words_too && IsStopWord(word)) continue;
      if (seen.insert(absl::AsciiStrToLower(word)).second) kept.emplace_back(word);
    }
    if (!kept.empty()) return kept;
  }
  return kept;
}

std::vector<std::string> TopicWords(absl::string_view sentence, size_t words_max) {
  std::set<std::string> seen;
  std::vector<std::string> kept;
  bool command = true;  // whether a command may stand here: at the beginning, after "and", "then", "to", and after another command
  for (const absl::string_view word : Words(sentence)) {
    if (kept.size() == words_max) break;
    const std::string lower = absl::AsciiStrToLower(word);
    if (Contains(InstructionWords(), lower) || (command && Contains(CommandWords(), lower))) {
      command = true;
    } else if (IsStopWord(lower)) {
      command = kept.empty() || lower == "and" || lower == "then" || lower == "to";
    } else {
      command = false;
      if (seen.insert(lower).second) kept.emplace_back(word);
    }
  }
  return kept;
}

}  // namespace agentruntime
