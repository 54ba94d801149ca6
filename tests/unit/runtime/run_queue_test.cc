#include "runtime/run_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace agentruntime {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

RunId Id(uint64_t number) { return RunId::New(kNow, 0, number); }

std::vector<RunId> Drain(RunQueue& queue) {
  std::vector<RunId> order;
  while (!queue.empty()) order.push_back(queue.Pop());
  return order;
}

TEST(RunQueueTest, HigherGoesFirstAndOfEqualsTheOlder) {
  RunQueue queue;
  queue.Push({Id(1), 0, kNow});
  queue.Push({Id(2), 0, kNow + absl::Seconds(1)});
  queue.Push({Id(3), 10, kNow + absl::Seconds(2)});
  queue.Push({Id(4), -10, kNow - absl::Seconds(5)});
  queue.Push({Id(5), 10, kNow + absl::Seconds(1)});
  EXPECT_THAT(Drain(queue), ::testing::ElementsAre(Id(5), Id(3), Id(1), Id(2), Id(4)));
}

TEST(RunQueueTest, ARunGainsALevelForEachMinuteSoNoneStarves) {
  RunQueue queue;
  queue.Push({Id(1), -10, kNow});
  // One of the highest priority arrives every second, for ever; one is taken every second.
  int taken = 0;
  RunId run;
  for (int second = 0; run != Id(1); ++second) {
    queue.Push({Id(100 + static_cast<uint64_t>(second)), 10, kNow + absl::Seconds(second)});
    run = queue.Pop();
    ASSERT_LE(++taken, 1202) << "it waits for twenty levels, a minute each, and no longer";
  }
  EXPECT_GE(taken, 1200);
}

TEST(RunQueueTest, OneThatWaitsNoMoreHasNoPlace) {
  RunQueue queue;
  for (const uint64_t number : {1, 2, 3}) queue.Push({Id(number), 0, kNow + absl::Seconds(number)});
  queue.Push({Id(3), 10, kNow});  // it waits already
  queue.Remove(Id(1));
  queue.Remove(Id(1));
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_THAT(Drain(queue), ::testing::ElementsAre(Id(2), Id(3)));
}

TEST(RunQueueTest, OneOfTheSameMomentIsTakenByItsId) {
  RunQueue queue;
  for (const uint64_t number : {3, 1, 2}) queue.Push({Id(number), 0, kNow});
  EXPECT_THAT(Drain(queue), ::testing::ElementsAre(Id(1), Id(2), Id(3)));
}

TEST(RunQueueTest, OfTwoQueuesTheOlderFirstRunGoesFirst) {
  RunQueue queue, other;
  EXPECT_FALSE(queue.GoesBefore(other));
  queue.Push({Id(1), 0, kNow});
  EXPECT_TRUE(queue.GoesBefore(other));
  EXPECT_FALSE(other.GoesBefore(queue));
  other.Push({Id(2), 0, kNow});
  EXPECT_FALSE(queue.GoesBefore(other)) << "an id says nothing within its millisecond";
  EXPECT_FALSE(other.GoesBefore(queue));
  other.Push({Id(3), 0, kNow - absl::Milliseconds(1)});
  EXPECT_TRUE(other.GoesBefore(queue));
}

}  // namespace
}  // namespace agentruntime
