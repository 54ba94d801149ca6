#include "runtime/sleepers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "proto/util/limits.h"
#include "runtime/backoff.h"
#include "runtime/due.h"

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
  EXPECT_TRUE(sleepers.IsAsleep(Id(4)));
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
  EXPECT_THAT(Due(sleepers, kNow - kExpiryAheadMax), ::testing::ElementsAre(Id(2))) << "and the other has not begun";
  EXPECT_TRUE(IsRetryDue(kNow + kRetryAfterMax + kBackoffMax, kNow + kRetryAfterMax + kBackoffMax));
  EXPECT_FALSE(IsRetryDue(kNow + kRetryAfterMax + kBackoffMax, kNow)) << "the longest wait that is ever set";
  EXPECT_FALSE(IsExpiryDue(kNow + kCallWaitMaximum, kNow - absl::Hours(1))) << "a clock that is put right by a little takes no wait away";
}

// What waits for a place is no sleeper, and its deadline comes all the same.
TEST(SleepersTest, WhatIsPromisedIsToldFromWhatWaitsForAPlace) {
  Sleepers sleepers;
  sleepers.Add(Id(1), {.until = Sleeper::Until::kEnd, .wake = kNow + absl::Seconds(1)});
  sleepers.Add(Id(2), {.until = Sleeper::Until::kStart, .wake = kNow + absl::Hours(1), .promise = kNow + absl::Seconds(2)});
  sleepers.Add(Id(3), {.until = Sleeper::Until::kRetry, .wake = kNow + absl::Seconds(3), .promise = kNow + absl::Hours(1)});
  sleepers.Add(Id(4), {.until = Sleeper::Until::kRetry, .wake = kNow + absl::Seconds(4), .stops = true});
  sleepers.Add(Id(5), {.until = Sleeper::Until::kPerson, .wake = kNow + absl::Seconds(5)});
  EXPECT_FALSE(sleepers.IsAsleep(Id(1)));
  EXPECT_TRUE(sleepers.IsAsleep(Id(2)));
  EXPECT_EQ(sleepers.queued(), 1);
  const std::vector<absl::Time> promises = {sleepers.PromiseTo(Id(1)), sleepers.PromiseTo(Id(2)), sleepers.PromiseTo(Id(3)),
                                            sleepers.PromiseTo(Id(4)), sleepers.PromiseTo(Id(5)), sleepers.PromiseTo(Id(6))};
  EXPECT_THAT(promises, ::testing::ElementsAre(kNow + absl::Seconds(1), kNow + absl::Seconds(2), kNow + absl::Hours(1), kNow + absl::Seconds(4),
                                               kNow + absl::Seconds(5), absl::InfiniteFuture()));
  std::vector<bool> promised;
  const absl::Time now = kNow + absl::Seconds(5);
  while (const auto due = sleepers.TakeDue(now)) promised.push_back(IsPromised(due->second, now));
  EXPECT_THAT(promised, ::testing::ElementsAre(true, true, false, true, true));
}

}  // namespace
}  // namespace agentruntime
