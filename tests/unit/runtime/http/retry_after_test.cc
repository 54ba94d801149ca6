#include "runtime/http/retry_after.h"

#include <gtest/gtest.h>

namespace agentruntime {
namespace {

TEST(ParseRetryAfterTest, ReadsSecondsAndDates) {
  const absl::Time now = absl::FromCivil(absl::CivilSecond(1994, 11, 6, 8, 49, 7), absl::UTCTimeZone());
  EXPECT_EQ(ParseRetryAfter("120", now), absl::Seconds(120));
  EXPECT_EQ(ParseRetryAfter(" 0 ", now), absl::ZeroDuration());
  EXPECT_EQ(ParseRetryAfter("1.5", now), absl::Milliseconds(1500));
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now), absl::Seconds(30));
  EXPECT_EQ(ParseRetryAfter("Sunday, 06-Nov-94 08:49:37 GMT", now), absl::Seconds(30));
  EXPECT_EQ(ParseRetryAfter("Sun Nov  6 08:49:37 1994", now), absl::Seconds(30));
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:00:00 GMT", now), absl::ZeroDuration());
  for (const char* wrong : {"", "soon", "-5", "12 apples", "Sun, 06 Nov"}) EXPECT_EQ(ParseRetryAfter(wrong, now), std::nullopt) << wrong;
}

}  // namespace
}  // namespace agentruntime
