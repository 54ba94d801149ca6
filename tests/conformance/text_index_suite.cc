#include "tests/conformance/text_index_suite.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

namespace agentruntime::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

IndexedDocument Document(const std::string& name, int64_t size = 1) { return {name, size, absl::FromUnixMicros(1'700'000'000'123'456)}; }

std::vector<std::string> Texts(const absl::StatusOr<std::vector<SearchHit>>& hits) {
  EXPECT_TRUE(hits.ok()) << hits.status();
  std::vector<std::string> texts;
  if (hits.ok()) {
    for (const SearchHit& hit : *hits) texts.push_back(hit.passage.text);
  }
  return texts;
}

TEST_P(TextIndexSuite, IsEmptyAtFirst) {
  EXPECT_THAT(*index_->Documents("c"), IsEmpty());
  EXPECT_THAT(Texts(index_->Search("c", {"word"}, 10)), IsEmpty());
  EXPECT_EQ(*index_->PassageCount("c"), 0);
  const auto counts = index_->Count("c", {"word"});
  ASSERT_TRUE(counts.ok());
  ASSERT_EQ(counts->size(), 1u);
  EXPECT_EQ((*counts)[0].passages, 0);
}

TEST_P(TextIndexSuite, KeepsDocumentsAsGiven) {
  ASSERT_TRUE(index_->Replace("c", Document("b.md", 7), {{1, "", "text"}}).ok());
  ASSERT_TRUE(index_->Replace("c", Document("a/x.md", 8), {}).ok());
  const auto documents = index_->Documents("c");
  ASSERT_TRUE(documents.ok());
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_EQ((*documents)[0].name, "a/x.md");
  EXPECT_EQ((*documents)[1].name, "b.md");
  EXPECT_EQ((*documents)[1].size, 7);
  EXPECT_EQ((*documents)[1].modify_time, Document("").modify_time);
}

TEST_P(TextIndexSuite, FindsPassagesWithTheirPlace) {
  ASSERT_TRUE(index_->Replace("c", Document("a.md"), {{1, "", "Nothing here."}, {3, "Guide > Limits", "Keys may send requests."}}).ok());
  const auto hits = index_->Search("c", {"request"}, 10);
  ASSERT_TRUE(hits.ok());
  ASSERT_EQ(hits->size(), 1u);
  const SearchHit& hit = (*hits)[0];
  EXPECT_EQ(hit.document, "a.md");
  EXPECT_EQ(hit.number, 1);
  EXPECT_EQ(hit.passage.line, 3);
  EXPECT_EQ(hit.passage.heading, "Guide > Limits");
  EXPECT_EQ(hit.passage.text, "Keys may send requests.");
  EXPECT_EQ(hit.snippet, "Keys may send [requests].");
  EXPECT_THAT(hit.words, ElementsAre("request"));
}

TEST_P(TextIndexSuite, ComparesByStemAndWithoutCase) {
  ASSERT_TRUE(index_->Replace("c", Document("a.md"), {{1, "", "LIMITS are limiting."}}).ok());
  for (const char* word : {"limit", "Limits", "limited", "LIMIT"}) EXPECT_EQ(Texts(index_->Search("c", {word}, 10)).size(), 1u) << word;
  EXPECT_THAT(Texts(index_->Search("c", {"lime"}, 10)), IsEmpty());
}

TEST_P(TextIndexSuite, PutsTheBetterPassageFirst) {
  ASSERT_TRUE(index_->Replace("c", Document("a.md"), {{1, "", "The rate."}, {2, "", "The rate limit."}, {3, "", "Other."}, {4, "", "Things."}}).ok());
  EXPECT_THAT(Texts(index_->Search("c", {"rate", "limit"}, 10)), ElementsAre("The rate limit.", "The rate."));
  EXPECT_THAT(Texts(index_->Search("c", {"rate", "limit"}, 1)), ElementsAre("The rate limit."));
  const auto hits = index_->Search("c", {"limit", "rate", "absent"}, 10);
  EXPECT_GT((*hits)[0].score, (*hits)[1].score);
  EXPECT_THAT((*hits)[0].words, ElementsAre("limit", "rate"));
  EXPECT_THAT((*hits)[1].words, ElementsAre("rate"));
}

TEST_P(TextIndexSuite, HeadingsAreSearchedToo) {
  ASSERT_TRUE(index_->Replace("c", Document("a.md"), {{1, "Rate limits", "600 a minute."}}).ok());
  const auto hits = index_->Search("c", {"limit"}, 10);
  ASSERT_EQ(hits->size(), 1u);
  EXPECT_THAT((*hits)[0].words, ElementsAre("limit"));
  EXPECT_EQ((*index_->Count("c", {"limit"}))[0].passages, 1);
}

TEST_P(TextIndexSuite, CountsPassagesOfEachWord) {
  ASSERT_TRUE(index_->Replace("c", Document("a.md"), {{1, "", "apple pear"}, {2, "", "apples"}, {3, "", "plum"}}).ok());
  const auto counts = index_->Count("c", {"apple", "pear", "fig"});
  ASSERT_TRUE(counts.ok());
  ASSERT_EQ(counts->size(), 3u);
  EXPECT_EQ((*counts)[0].passages, 2);
  EXPECT_EQ((*counts)[1].passages, 1);
  EXPECT_EQ((*counts)[2].passages, 0);
  EXPECT_EQ((*counts)[2].term, "fig");
  EXPECT_EQ(*index_->PassageCount("c"), 3);
}

TEST_P(TextIndexSuite, ReplaceLeavesNothingOfTheOldText) {
  ASSERT_TRUE(index_->Replace("c", Document("a.md"), {{1, "", "old one"}, {2, "", "old two"}}).ok());
  ASSERT_TRUE(index_->Replace("c", Document("b.md"), {{1, "", "neighbour"}}).ok());
  ASSERT_TRUE(index_->Replace("c", Document("a.md", 2), {{1, "", "new"}}).ok());
  EXPECT_THAT(Texts(index_->Search("c", {"old"}, 10)), IsEmpty());
  EXPECT_THAT(Texts(index_->Search("c", {"new"}, 10)), ElementsAre("new"));
  EXPECT_THAT(Texts(index_->Search("c", {"neighbour"}, 10)), ElementsAre("neighbour"));
  EXPECT_EQ(*index_->PassageCount("c"), 2);
  EXPECT_EQ(index_->Documents("c")->size(), 2u);
}

TEST_P(TextIndexSuite, RemoveIsCompleteAndIdempotent) {
  ASSERT_TRUE(index_->Replace("c", Document("a.md"), {{1, "", "gone"}}).ok());
  EXPECT_TRUE(index_->Remove("c", "a.md").ok());
  EXPECT_TRUE(index_->Remove("c", "a.md").ok());
  EXPECT_TRUE(index_->Remove("never", "a.md").ok());
  EXPECT_THAT(Texts(index_->Search("c", {"gone"}, 10)), IsEmpty());
  EXPECT_THAT(*index_->Documents("c"), IsEmpty());
}

TEST_P(TextIndexSuite, CollectionsAreApart) {
  ASSERT_TRUE(index_->Replace("one", Document("a.md"), {{1, "", "shared word"}}).ok());
  ASSERT_TRUE(index_->Replace("two", Document("a.md"), {{1, "", "shared word too"}, {2, "", "shared"}}).ok());
  EXPECT_THAT(Texts(index_->Search("one", {"shared"}, 10)), ElementsAre("shared word"));
  EXPECT_EQ((*index_->Count("one", {"shared"}))[0].passages, 1);
  EXPECT_EQ(*index_->PassageCount("two"), 2);
  ASSERT_TRUE(index_->Remove("one", "a.md").ok());
  EXPECT_EQ(index_->Search("two", {"shared"}, 10)->size(), 2u);
}

TEST_P(TextIndexSuite, NothingInAWordIsSyntax) {
  ASSERT_TRUE(index_->Replace("c", Document("a.md"), {{1, "", "plain text with rate-limits"}, {2, "collection1 scope", "x"}}).ok());
  const std::string nul("pl\0ain", 6);
  for (const std::string& word : {std::string("\""), std::string("\"\""), std::string("a\" OR \"plain"), std::string("text*"), std::string("NOT"),
                                  std::string("text:plain"), std::string("("), std::string("NEAR("), std::string("^plain"), std::string(""), std::string("---"),
                                  std::string("\xff\xfe"), nul, std::string("'"), std::string(100'000, 'x')}) {
    const auto hits = index_->Search("c", {word}, 10);
    EXPECT_TRUE(hits.ok()) << word.substr(0, 20) << ": " << hits.status();
    EXPECT_TRUE(index_->Count("c", {word}).ok()) << word.substr(0, 20);
    EXPECT_EQ(Texts(index_->Search("c", {word, "plain"}, 10)).size(), 1u) << word.substr(0, 20);
  }
  EXPECT_THAT(Texts(index_->Search("c", {"limits-rate"}, 10)), IsEmpty()) << "the parts of a word stand in a row";
  EXPECT_EQ(Texts(index_->Search("c", {"rate-limit"}, 10)).size(), 1u);
}

TEST_P(TextIndexSuite, TextsAreKeptVerbatim) {
  const std::string text = "Grüße \xF0\x9F\x91\x8D \"quoted\" 'single' [x] \\ \x01\x02\n  two  spaces";
  ASSERT_TRUE(index_->Replace("c", Document("a.md"), {{1, "h\"'", text}}).ok());
  EXPECT_THAT(Texts(index_->Search("c", {"Grüße"}, 10)), ElementsAre(text));
}

TEST_P(TextIndexSuite, SnippetIsAWindowAroundTheWords) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "w" + std::to_string(i) + " ";
  ASSERT_TRUE(index_->Replace("c", Document("a.md"), {{1, "", text}}).ok());
  const std::string snippet = (*index_->Search("c", {"w100"}, 1))[0].snippet;
  EXPECT_THAT(snippet, HasSubstr("w99 [w100] w101"));
  EXPECT_LT(std::count(snippet.begin(), snippet.end(), ' '), 33);
}

TEST_P(TextIndexSuite, RefusesWhatIsOutOfBounds) {
  EXPECT_TRUE(absl::IsInvalidArgument(index_->Search("c", {"a"}, 0).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(index_->Search("c", {"a"}, -1).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(index_->Search("c", {"a"}, 1'000'000).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(index_->Search("c", std::vector<std::string>(1000, "a"), 1).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(index_->Count("c", std::vector<std::string>(1000, "a")).status()));
  EXPECT_THAT(Texts(index_->Search("c", {}, 1)), IsEmpty());
}

TEST_P(TextIndexSuite, ManyThreads) {
  std::atomic<int> found = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string name = "d" + std::to_string(t);
      for (int i = 0; i < 25; ++i) {
        EXPECT_TRUE(index_->Replace("c", Document(name, i), {{1, "", name + " word"}}).ok());
        const auto hits = index_->Search("c", {name}, 10);
        EXPECT_TRUE(hits.ok());
        if (hits.ok()) found += static_cast<int>(hits->size());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(found, 100);
  EXPECT_EQ(*index_->PassageCount("c"), 4);
}

}  // namespace
}  // namespace agentruntime::testing
