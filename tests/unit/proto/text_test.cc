#include "proto/base/text.h"

#include <gtest/gtest.h>

namespace agentruntime {
namespace {

TEST(Utf8Test, RefusesWhatRfc3629Refuses) {
  EXPECT_TRUE(IsValidUtf8("plain"));
  EXPECT_TRUE(IsValidUtf8("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80"));
  for (const absl::string_view wrong : {"\x80", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xF4\x90\x80\x80"}) {
    EXPECT_FALSE(IsValidUtf8(wrong));
  }
  EXPECT_EQ(MakeValidUtf8("a\x80z"), "a\xEF\xBF\xBDz");
}

TEST(Utf8Test, CutsBetweenCharacters) {
  EXPECT_EQ(CutUtf8("a\xE2\x82\xAC", 4), "a\xE2\x82\xAC");
  EXPECT_EQ(CutUtf8("a\xE2\x82\xAC", 3), "a");
}

TEST(OneLineTest, FoldsWhiteSpaceAndCountsCharacters) {
  EXPECT_EQ(OneLine("  two\n\n words ", 20), "two words");
  EXPECT_EQ(OneLine("\xC3\xA4\xC3\xB6\xC3\xBC", 3), "\xC3\xA4\xC3\xB6\xC3\xBC");
  EXPECT_EQ(OneLine("abcd", 3), "abc\xE2\x80\xA6");
}

TEST(EscapeJsonTest, EscapesWhatJsonForbids) { EXPECT_EQ(EscapeJson("a\"b\\c\n\x01"), "a\\\"b\\\\c\\n\\u0001"); }

}  // namespace
}  // namespace agentruntime
