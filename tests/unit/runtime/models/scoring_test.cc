#include "runtime/models/scoring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace agentruntime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

FoundPassage Hit(const std::string& document, int64_t number, std::vector<std::string> words, double score = 1) {
  return {document, number + 1, number, "", document + std::to_string(number), score, std::move(words)};
}

std::vector<std::string> Texts(const Choice& choice) {
  std::vector<std::string> texts;
  for (const FoundPassage& passage : choice.passages) texts.push_back(passage.text);
  return texts;
}

// Four words, equally rare.
Finding Four(std::vector<FoundPassage> hits) { return {{{"a", 5}, {"b", 5}, {"c", 5}, {"d", 5}}, 100, 3, std::move(hits)}; }

TEST(ScoringTest, ShareIsThePartOfTheWordsFound) {
  const Finding finding = Four({});
  EXPECT_DOUBLE_EQ(Share(finding, Hit("x", 0, {})), 0);
  EXPECT_DOUBLE_EQ(Share(finding, Hit("x", 0, {"a"})), 0.25);
  EXPECT_DOUBLE_EQ(Share(finding, Hit("x", 0, {"d", "b", "c", "a"})), 1);
  EXPECT_DOUBLE_EQ(Share(finding, Hit("x", 0, {"other"})), 0);
  EXPECT_DOUBLE_EQ(Share({{}, 0, 0, {}}, Hit("x", 0, {"a"})), 0);
}

TEST(ScoringTest, RareWordsWeighMoreAndUnknownOnesMost) {
  const Finding finding{{{"common", 80}, {"rare", 1}, {"unknown", 0}}, 100, 3, {}};
  const double common = Share(finding, Hit("x", 0, {"common"}));
  const double rare = Share(finding, Hit("x", 0, {"rare"}));
  EXPECT_LT(common, rare / 5);
  EXPECT_LT(rare, 1 - rare - common);
}

TEST(ScoringTest, ThresholdsDecideTheVerdict) {
  EXPECT_EQ(Choose(Four({}), 3).verdict, Verdict::kNothing);
  EXPECT_EQ(Choose(Four({Hit("x", 0, {})}), 3).verdict, Verdict::kNothing);
  EXPECT_EQ(Choose(Four({Hit("x", 0, {"a"})}), 3).verdict, Verdict::kClosest);
  EXPECT_EQ(Choose(Four({Hit("x", 0, {"a", "b"})}), 3).verdict, Verdict::kAnswer);
}

TEST(ScoringTest, ClosestIsOne) { EXPECT_THAT(Texts(Choose(Four({Hit("x", 0, {"a"}, 1), Hit("y", 0, {"b"}, 2)}), 3)), ElementsAre("y0")); }

TEST(ScoringTest, AnswerIsInDocumentOrderTheBestDocumentFirst) {
  const Choice choice = Choose(Four({Hit("b", 7, {"a", "b", "c", "d"}, 9), Hit("a", 2, {"a", "b", "c", "d"}, 8), Hit("b", 1, {"a", "b", "c", "d"}, 7)}), 3);
  EXPECT_THAT(Texts(choice), ElementsAre("b1", "b7", "a2"));
}

TEST(ScoringTest, AnswerHasOnlyWhatComesNearTheBest) {
  const std::vector<FoundPassage> hits = {Hit("x", 1, {"a", "b"}, 9), Hit("x", 2, {"a", "b", "c", "d"}, 1)};
  EXPECT_THAT(Texts(Choose(Four(hits), 3)), ElementsAre("x2"));
}

TEST(ScoringTest, AnswerKeepsToTheMaximum) {
  std::vector<FoundPassage> hits;
  for (int i = 0; i < 10; ++i) hits.push_back(Hit("x", i, {"a", "b", "c"}, 10 - i));
  EXPECT_THAT(Texts(Choose(Four(hits), 3)), ElementsAre("x0", "x1", "x2"));
  EXPECT_THAT(Texts(Choose(Four(hits), 1)), ElementsAre("x0"));
}

TEST(ScoringTest, OrderOfTheHitsDoesNotMatter) {
  std::vector<FoundPassage> hits;
  for (int i = 0; i < 6; ++i) hits.push_back(Hit("x", i, {"a", "b"}));
  const auto texts = Texts(Choose(Four(hits), 3));
  std::reverse(hits.begin(), hits.end());
  EXPECT_EQ(Texts(Choose(Four(hits), 3)), texts);
}

}  // namespace
}  // namespace agentruntime
