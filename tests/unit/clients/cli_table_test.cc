#include <gtest/gtest.h>

#include "clients/cli/table.h"

namespace agentruntime::cli {
namespace {

Table Sample() {
  Table table({{"RUN"}, {"STEPS", true}, {.title = "TITLE", .flexible = true}});
  table.Add({"01jd", "2", "Find current API rate limits"});
  table.Add({"\xE6\x97\xA5\xE6\x9C\xAC", "1,204", "x"});
  return table;
}

TEST(TableTest, AlignsByDisplayWidth) {
  EXPECT_EQ(Sample().Render(0),
            "RUN   STEPS  TITLE\n"
            "01jd      2  Find current API rate limits\n"
            "\xE6\x97\xA5\xE6\x9C\xAC  1,204  x\n");
}

TEST(TableTest, CutsTheFlexibleColumnToTheTerminal) {
  EXPECT_EQ(Sample().Render(30),
            "RUN   STEPS  TITLE\n"
            "01jd      2  Find current A...\n"
            "\xE6\x97\xA5\xE6\x9C\xAC  1,204  x\n");
}

TEST(TableTest, CutsWholeLinesWhereThatIsNotEnough) {
  EXPECT_EQ(Sample().Render(12),
            "RUN   STE...\n"
            "01jd     ...\n"
            "\xE6\x97\xA5\xE6\x9C\xAC  1,2...\n");
}

}  // namespace
}  // namespace agentruntime::cli
