#include "runtime/models/scoring.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace agentruntime {
namespace {

// Robertson and Sparck Jones' weight of a word, kept positive.
double Weight(int64_t passages, int64_t with_word) {
  const double without = static_cast<double>(std::max<int64_t>(passages - with_word, 0));
  return std::log(1 + (without + 0.5) / (static_cast<double>(with_word) + 0.5));
}

struct Rated {
  FoundPassage passage;
  double share = 0;
};

bool Better(const Rated& a, const Rated& b) {
  if (a.share != b.share) return a.share > b.share;
  if (a.passage.score != b.passage.score) return a.passage.score > b.passage.score;
  return std::pair(a.passage.document, a.passage.number) < std::pair(b.passage.document, b.passage.number);
}

// Documents in the order of their best passage, lines in theirs.
void SortAsRead(std::vector<FoundPassage>& passages) {
  std::vector<std::string> documents;
  for (const FoundPassage& passage : passages) {
    if (std::find(documents.begin(), documents.end(), passage.document) == documents.end()) documents.push_back(passage.document);
  }
  const auto place = [&](const FoundPassage& passage) {
    return std::pair(std::find(documents.begin(), documents.end(), passage.document) - documents.begin(), passage.number);
  };
  std::sort(passages.begin(), passages.end(), [&](const FoundPassage& a, const FoundPassage& b) { return place(a) < place(b); });
}

}  // namespace

double Share(const Finding& finding, const FoundPassage& passage) {
  double asked = 0;
  double found = 0;
  for (const QuestionWord& word : finding.words) {
    const double weight = Weight(finding.passages, word.passages);
    asked += weight;
    if (std::find(passage.words.begin(), passage.words.end(), word.word) != passage.words.end()) found += weight;
  }
  return asked > 0 ? found / asked : 0;
}

Choice Choose(const Finding& finding, size_t passages_max) {
  std::vector<Rated> rated;
  for (const FoundPassage& hit : finding.hits) rated.push_back({hit, Share(finding, hit)});
  std::sort(rated.begin(), rated.end(), Better);
  Choice choice;
  if (rated.empty() || rated[0].share < kClosestShareMin) return choice;
  if (rated[0].share < kAnswerShareMin) {
    choice.verdict = Verdict::kClosest;
    choice.passages.push_back(std::move(rated[0].passage));
    return choice;
  }
  choice.verdict = Verdict::kAnswer;
  const double share_min = std::max(kAnswerShareMin, kBesideBestShareMin * rated[0].share);
  for (Rated& candidate : rated) {
    if (choice.passages.size() == passages_max || candidate.share < share_min) break;
    choice.passages.push_back(std::move(candidate.passage));
  }
  SortAsRead(choice.passages);
  return choice;
}

}  // namespace agentruntime
