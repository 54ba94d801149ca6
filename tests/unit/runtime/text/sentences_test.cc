#include "runtime/text/sentences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace agentruntime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Split(absl::string_view text) {
  std::vector<std::string> sentences;
  for (const Sentence& sentence : SplitSentences(text)) {
    EXPECT_EQ(text.substr(sentence.offset, sentence.text.size()), sentence.text);
    sentences.emplace_back(sentence.text);
  }
  return sentences;
}

TEST(SentencesTest, EndAtMarks) { EXPECT_THAT(Split("One. Two! Three? Four"), ElementsAre("One.", "Two!", "Three?", "Four")); }

TEST(SentencesTest, NothingInNothing) {
  EXPECT_THAT(Split(""), IsEmpty());
  EXPECT_THAT(Split(" \n\t "), IsEmpty());
}

TEST(SentencesTest, DotsInsideWordsAndNumbersEndNothing) {
  EXPECT_THAT(Split("Version 1.2.3 of example.com costs 3.5 dollars. See a.md."), ElementsAre("Version 1.2.3 of example.com costs 3.5 dollars.", "See a.md."));
}

TEST(SentencesTest, AbbreviationsEndNothing) {
  EXPECT_THAT(Split("Ask e.g. Dr. Smith or J. Doe, i.e. a person. Then go."), ElementsAre("Ask e.g. Dr. Smith or J. Doe, i.e. a person.", "Then go."));
  EXPECT_THAT(Split("Is it free? No. It costs a lot."), ElementsAre("Is it free?", "No.", "It costs a lot."));
  EXPECT_THAT(Split("See no. 5 for it."), ElementsAre("See no. 5 for it."));
}

TEST(SentencesTest, LowerCaseGoesOn) { EXPECT_THAT(Split("The so-called approx. value is fine."), ElementsAre("The so-called approx. value is fine.")); }

TEST(SentencesTest, QuotesAndBracketsBelongToTheSentence) {
  EXPECT_THAT(Split("He said \"go.\" (She did.) Then they left."), ElementsAre("He said \"go.\"", "(She did.)", "Then they left."));
}

TEST(SentencesTest, EmptyLinesEndASentence) { EXPECT_THAT(Split("A title\n\nText goes\non here"), ElementsAre("A title", "Text goes\non here")); }

TEST(SentencesTest, RunsOfMarksAreOne) { EXPECT_THAT(Split("What?! Well... Yes."), ElementsAre("What?!", "Well...", "Yes.")); }

TEST(SentencesTest, LongTextIsCutInLinearTime) {
  EXPECT_EQ(SplitSentences(std::string(4 << 20, '.')).size(), 1u);
  EXPECT_EQ(SplitSentences(std::string(4 << 20, 'a')).size(), 1u);
  EXPECT_EQ(SplitSentences(std::string(4 << 20, '.') + "x").size(), 1u);
  std::string dots;
  for (int i = 0; i < 500'000; ++i) dots += "A. ";
  EXPECT_GE(SplitSentences(dots).size(), 1u);
}

TEST(SentencesTest, ManyNewlinesAreCutInLinearTime) { EXPECT_THAT(SplitSentences("a" + std::string(1 << 20, '\n') + "b"), ::testing::SizeIs(2)); }

}  // namespace
}  // namespace agentruntime
