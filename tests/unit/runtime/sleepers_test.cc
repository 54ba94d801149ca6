#include "runtime/sleepers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "proto/util/limits.h"
#include "runtime/backoff.h"

namespace agentruntime {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

RunId Id(uint64_t number) { return RunId::New(kNow, 0, number); }

std::vector<RunId> Due(Sleepers& sleepers, absl::Time now) {
  std::vector<RunId> order;
  while (const auto due = sleepers.TakeDue(now)) order.push_back(due->first);
  return order;
}

TEST(SleepersTest, AreDueInTheOrderOfTheirTimes) {
  Sleepers sleepers;
  sleepers.Add(Id(1), {Sleeper::Until::kPerson, kNow + absl::Seconds(3)});
  sleepers.Add(Id(2), {Sleeper::Until::kRetry, kNow + absl::Seconds(2)});
  sleepers.Add(Id(3), {Sleeper::Until::kStart, kNow + absl::Seconds(1)});
  sleepers.Add(Id(4), {Sleeper::Until::kRetry, kNow + absl::Seconds(9)});
  EXPECT_EQ(sleepers.first(), kNow + absl::Seconds(1));
  EXPECT_THAT(Due(sleepers, kNow), ::testing::IsEmpty());
  EXPECT_THAT(Due(sleepers, kNow + absl::Seconds(3)), ::testing::ElementsAre(Id(3), Id(2), Id(1)));
  EXPECT_EQ(sleepers.first(), kNow + absl::Seconds(9));
  EXPECT_TRUE(sleepers.contains(Id(4)));
}

TEST(SleepersTest, ARunSleepsOnce) {
  Sleepers sleepers;
  sleepers.Add(Id(1), {Sleeper::Until::kStart, kNow + absl::Seconds(1)});
  EXPECT_EQ(sleepers.queued(), 1);
  sleepers.Add(Id(1), {Sleeper::Until::kPerson, kNow + absl::Seconds(5)});
  EXPECT_EQ(sleepers.queued(), 0);
  EXPECT_THAT(Due(sleepers, kNow + absl::Seconds(4)), ::testing::IsEmpty());
  sleepers.Remove(Id(1));
  sleepers.Remove(Id(1));
  EXPECT_TRUE(sleepers.empty());
  EXPECT_EQ(sleepers.first(), absl::InfiniteFuture());
}

// A person was promised an instant, but none that lies further ahead than any wait; nobody was promised a retry.
TEST(SleepersTest, AClockThatIsSetBackKeepsNoRetryWaiting) {
  Sleepers sleepers;
  sleepers.Add(Id(1), {Sleeper::Until::kRetry, kNow + absl::Seconds(20)});
  sleepers.Add(Id(2), {Sleeper::Until::kPerson, kNow + absl::Seconds(20)});
  sleepers.Add(Id(3), {Sleeper::Until::kStart, kNow + absl::Seconds(20)});
  EXPECT_THAT(Due(sleepers, kNow - absl::Minutes(1)), ::testing::IsEmpty());
  EXPECT_THAT(Due(sleepers, kNow - absl::Hours(1)), ::testing::ElementsAre(Id(1)));
  EXPECT_THAT(Due(sleepers, kNow - kCallWaitMaximum), ::testing::ElementsAre(Id(2))) << "and the other has not begun";
  EXPECT_TRUE(IsRetryDue(kNow + kRetryAfterMax + kBackoffMax, kNow + kRetryAfterMax + kBackoffMax));
  EXPECT_FALSE(IsRetryDue(kNow + kRetryAfterMax + kBackoffMax, kNow)) << "the longest wait that is ever set";
}

}  // namespace
}  // namespace agentruntime
