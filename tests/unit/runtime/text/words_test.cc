#include "runtime/text/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace agentruntime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(WordsTest, AreRunsOfLettersAndDigits) {
  EXPECT_THAT(Words("The Retry-After: 30s, d'accord"), ElementsAre("The", "Retry", "After", "30s", "d", "accord"));
  EXPECT_THAT(Words("grüße 東京!"), ElementsAre("grüße", "東京"));
  EXPECT_THAT(Words(" .,;"), IsEmpty());
}

TEST(WordsTest, LongOnesAreCutBetweenCharacters) {
  const std::string word = "x" + std::string(100, 'a');
  EXPECT_EQ(Words(word)[0].size(), kWordBytesMax);
  std::string umlauts = "x";
  for (int i = 0; i < 100; ++i) umlauts += "ü";
  EXPECT_EQ(Words(umlauts)[0].size(), kWordBytesMax - 1);
}

TEST(WordsTest, SearchWordsLeaveOutStopWordsAndRepeats) {
  EXPECT_THAT(SearchWords("What is the rate limit of the API, the RATE limit?", 10), ElementsAre("rate", "limit", "API"));
  EXPECT_THAT(SearchWords("one two three", 2), ElementsAre("one", "two"));
}

TEST(WordsTest, SearchWordsKeepStopWordsIfNothingElseIsThere) { EXPECT_THAT(SearchWords("to be or not to be", 10), ElementsAre("to", "be", "or", "not")); }

TEST(WordsTest, TopicWordsLeaveOutInstructions) {
  EXPECT_THAT(TopicWords("Find current API rate limit requirements and summarize briefly", 32), ElementsAre("API", "rate", "limit", "requirements"));
  EXPECT_THAT(TopicWords("Please search the documents and list all webhook events", 32), ElementsAre("webhook", "events"));
  EXPECT_THAT(TopicWords("Could you please tell me?", 32), IsEmpty());
}

TEST(WordsTest, ThingsThatSoundLikeCommandsAreKept) {
  EXPECT_THAT(TopicWords("What does the annual report list?", 32), ElementsAre("annual", "report", "list"));
  EXPECT_THAT(TopicWords("parcels:read scope", 32), ElementsAre("parcels", "read", "scope"));
}

}  // namespace
}  // namespace agentruntime
