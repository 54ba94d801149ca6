#include "runtime/backoff.h"

#include <gtest/gtest.h>

namespace agentruntime {
namespace {

TEST(BackoffDelayTest, DoublesUpToItsBoundWithinItsUpperHalf) {
  EXPECT_EQ(BackoffDelay(1, 0, std::nullopt), absl::Milliseconds(250));
  EXPECT_EQ(BackoffDelay(1, 0.5, std::nullopt), absl::Milliseconds(375));
  EXPECT_EQ(BackoffDelay(2, 0, std::nullopt), absl::Milliseconds(500));
  EXPECT_EQ(BackoffDelay(5, 0, std::nullopt), absl::Seconds(4));
  EXPECT_EQ(BackoffDelay(7, 0, std::nullopt), kBackoffMax / 2);
  EXPECT_EQ(BackoffDelay(1'000'000, 0, std::nullopt), kBackoffMax / 2);
  EXPECT_LT(BackoffDelay(1'000'000, 0.999, std::nullopt), kBackoffMax);
}

TEST(BackoffDelayTest, NeverComesBackBeforeItWasAskedTo) {
  EXPECT_EQ(BackoffDelay(1, 0, absl::Seconds(90)), absl::Seconds(90));
  EXPECT_GT(BackoffDelay(1, 0.5, absl::Seconds(90)), absl::Seconds(90));  // spread behind it
  EXPECT_EQ(BackoffDelay(1, 0, absl::Hours(1)), kRetryAfterMax);
  EXPECT_EQ(BackoffDelay(1, 0, absl::InfiniteDuration()), kRetryAfterMax);
  EXPECT_EQ(BackoffDelay(4, 0, absl::Seconds(1)), absl::Seconds(2));  // a shorter wish does not hurry
}

}  // namespace
}  // namespace agentruntime
