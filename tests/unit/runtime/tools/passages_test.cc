#include "runtime/tools/passages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace agentruntime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// `line|heading|text`.
std::vector<std::string> Cut(absl::string_view text, DocumentFormat format = DocumentFormat::kMarkdown) {
  std::vector<std::string> cut;
  for (const Passage& passage : SplitPassages(text, format)) cut.push_back(absl::StrCat(passage.line, "|", passage.heading, "|", passage.text));
  return cut;
}

TEST(PassagesTest, SentencesHaveTheirLineAndHeadings) {
  EXPECT_THAT(Cut("# A\n\nOne. Two goes\non. Three.\n\n## B\nFour.\n### C ###\nFive.\n## D\nSix."),
              ElementsAre("3|A|One.", "3|A|Two goes on.", "4|A|Three.", "7|A > B|Four.", "9|A > B > C|Five.", "11|A > D|Six."));
}

TEST(PassagesTest, UnderlinedHeadings) { EXPECT_THAT(Cut("Title\n=====\nOne.\n\nPart\n---\nTwo."), ElementsAre("3|Title|One.", "7|Title > Part|Two.")); }

TEST(PassagesTest, ListItemsStandAlone) {
  EXPECT_THAT(Cut("Intro:\n\n- first\n- second goes\n  on\n* third\n1. fourth\n2) fifth\n"),
              ElementsAre("1||Intro:", "3||first", "4||second goes on", "6||third", "7||fourth", "8||fifth"));
}

TEST(PassagesTest, TableRowsStandAlone) { EXPECT_THAT(Cut("| a | b |\n|---|---|\n| 1 | 2 |\n"), ElementsAre("1||| a | b |", "3||| 1 | 2 |")); }

TEST(PassagesTest, FencedCodeIsOnePassageWithItsLines) {
  EXPECT_THAT(Cut("Run:\n```sh\nmake  all\n\n# not a heading\n```\nDone."), ElementsAre("1||Run:", "3||make  all\n\n# not a heading", "7||Done."));
  EXPECT_THAT(Cut("````\n```\ninner\n```\n````\n"), ElementsAre("2||```\ninner\n```"));
  EXPECT_THAT(Cut("~~~\nopen to the end"), ElementsAre("2||open to the end"));
}

TEST(PassagesTest, LeavesOutWhatIsNotText) {
  EXPECT_THAT(Cut("---\ntitle: x\n---\nText.\n\n<!-- a\ncomment -->\n***\n[ref]: http://x\n> Quoted.\n"), ElementsAre("4||Text.", "10||Quoted."));
}

TEST(PassagesTest, PlainTextHasNoMarkup) {
  EXPECT_THAT(Cut("# not a heading. Two\nlines.\n\n- x\n", DocumentFormat::kPlainText), ElementsAre("1||# not a heading.", "1||Two lines.", "4||- x"));
}

TEST(PassagesTest, CarriageReturnsAndByteOrderMark) { EXPECT_THAT(Cut("\xEF\xBB\xBF# A\r\n\r\nOne.\r\n"), ElementsAre("3|A|One.")); }

TEST(PassagesTest, NothingInNothing) {
  EXPECT_THAT(Cut(""), IsEmpty());
  EXPECT_THAT(Cut("\n\n# Only a heading\n```\n\n```\n"), IsEmpty());
}

TEST(PassagesTest, LongOnesAreCut) {
  std::string umlauts;
  for (int i = 0; i < 3000; ++i) umlauts += "ü";
  size_t bytes = 0;
  for (const Passage& passage : SplitPassages(umlauts, DocumentFormat::kMarkdown)) {
    EXPECT_LE(passage.text.size(), kPassageBytesMax);
    EXPECT_EQ(passage.text.size() % 2, 0u);
    bytes += passage.text.size();
  }
  EXPECT_EQ(bytes, umlauts.size());
  std::string code = "```\n";
  for (int i = 0; i < 500; ++i) absl::StrAppend(&code, "line ", i, "\n");
  const auto passages = SplitPassages(code + "```\n", DocumentFormat::kMarkdown);
  ASSERT_GT(passages.size(), 1u);
  EXPECT_EQ(passages[1].text.rfind("line ", 0), 0u) << "cut at the end of a line";
  EXPECT_GT(passages[1].line, 100);
}

}  // namespace
}  // namespace agentruntime
