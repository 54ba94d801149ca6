// How well passages answer a question, by the words that they share with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace agentruntime {

// A passage that search_docs found.
struct FoundPassage {
  std::string document;
  int64_t line = 0;
  int64_t number = 0;  // in its document
  std::string heading;
  std::string text;
  double score = 0;                // of the search, higher is better
  std::vector<std::string> words;  // of the question, in the text or its headings
};

struct QuestionWord {
  std::string word;
  int64_t passages = 0;  // that contain it
};

// What one search found.
struct Finding {
  std::vector<QuestionWord> words;
  int64_t passages = 0;   // searched
  int64_t documents = 0;  // searched
  std::vector<FoundPassage> hits;
};

enum class Verdict {
  kNothing,
  kClosest,  // something near the question
  kAnswer,
};

inline constexpr double kAnswerShareMin = 0.5;
inline constexpr double kClosestShareMin = 0.25;
inline constexpr double kBesideBestShareMin = 0.8;  // of the best passage's share: what stands beside it in an answer

struct Choice {
  Verdict verdict = Verdict::kNothing;
  std::vector<FoundPassage> passages;  // kAnswer: 1 to the maximum, in document order; kClosest: one; kNothing: none
};

// Which part of what is asked the passage speaks of: of the question's words, each weighed by how rare it is, those found. 0 to 1; a word that stands in no
// document weighs most.
double Share(const Finding& finding, const FoundPassage& passage);

// Pure.
Choice Choose(const Finding& finding, size_t passages_max);

}  // namespace agentruntime
