#include "server/drain_request.h"

#include <gtest/gtest.h>

#include <thread>

namespace agentruntime {
namespace {

TEST(DrainRequestTest, ALongerGraceChangesNothing) {
  DrainRequest request;
  request.Ask(absl::Seconds(20));
  const absl::Duration deadline = request.Wait();
  request.Ask(absl::Hours(1));
  EXPECT_EQ(request.Wait(), deadline);
}

TEST(DrainRequestTest, TheShorterGraceWinsWhoeverAsksLater) {
  DrainRequest request;
  request.Ask(absl::Hours(1));
  const absl::Duration deadline = request.Wait();
  std::thread later([&] { request.Ask(absl::Seconds(20)); });
  const auto sooner = request.WaitForSooner(deadline);
  later.join();
  ASSERT_TRUE(sooner.has_value());
  EXPECT_LT(*sooner, deadline - absl::Minutes(59));
  EXPECT_LE(*sooner, SystemClock().Monotonic() + absl::Seconds(20));
}

TEST(DrainRequestTest, WhoWaitsForASoonerDeadlineHearsOfTheEnd) {
  DrainRequest request;
  request.Ask(absl::Hours(1));
  const absl::Duration deadline = request.Wait();
  request.Ask(absl::Hours(1) - absl::Milliseconds(1));  // too little to count
  std::thread end([&] { request.Finish(); });
  EXPECT_EQ(request.WaitForSooner(deadline), std::nullopt);
  end.join();
}

}  // namespace
}  // namespace agentruntime
