#include "server/line_limit.h"

#include <gtest/gtest.h>

namespace agentruntime {
namespace {

using std::chrono::milliseconds;

TEST(LineLimitTest, SoManyASecondAndTheNextOneTellsHowManyAreMissing) {
  LineLimit limit(2);
  const LineLimit::TimePoint begin = std::chrono::steady_clock::now();
  EXPECT_EQ(limit.Admit(begin), 0);
  EXPECT_EQ(limit.Admit(begin + milliseconds(1)), 0);
  EXPECT_EQ(limit.Admit(begin + milliseconds(2)), std::nullopt);
  EXPECT_EQ(limit.Admit(begin + milliseconds(999)), std::nullopt);
  EXPECT_EQ(limit.Admit(begin + milliseconds(1000)), 2);
  EXPECT_EQ(limit.Admit(begin + milliseconds(1001)), 0);
  EXPECT_EQ(limit.Admit(begin + milliseconds(1002)), std::nullopt);
}

}  // namespace
}  // namespace agentruntime
