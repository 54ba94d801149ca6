#include "tests/simulation/loop.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <vector>

namespace agentruntime::simulation {
namespace {

using ::testing::ElementsAre;

constexpr absl::Duration kNever = absl::InfiniteDuration();

// The order in which eight handlers run.
std::vector<int> OrderOf(uint64_t seed) {
  absl::Duration now;
  Loop loop(seed, 0, &now);
  loop.Detach();
  std::vector<int> order;
  for (int i = 0; i < 8; ++i) boost::asio::post(loop.pool(), [&order, i] { order.push_back(i); });
  EXPECT_TRUE(loop.RunToEnd(kNever));
  EXPECT_EQ(order.size(), 8u);
  return order;
}

TEST(LoopTest, TheSeedChoosesTheOrder) {
  EXPECT_EQ(OrderOf(1), OrderOf(1));
  int different = 0;
  for (uint64_t seed = 2; seed < 12; ++seed) different += OrderOf(seed) == OrderOf(1) ? 0 : 1;
  EXPECT_GE(different, 9);
}

TEST(LoopTest, AStrandKeepsItsOrder) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    absl::Duration now;
    Loop loop(seed, 0, &now);
    loop.Detach();
    std::vector<int> order;
    const boost::asio::any_io_executor pool = loop.pool();
    const auto strand = boost::asio::make_strand(pool);
    for (int i = 0; i < 5; ++i) {
      boost::asio::post(strand, [&order, i] { order.push_back(i); });
      boost::asio::post(loop.blocking_pool(), [&order, strand] { boost::asio::post(strand, [&order] { order.push_back(9); }); });
    }
    EXPECT_TRUE(loop.RunToEnd(kNever));
    EXPECT_EQ(std::count(order.begin(), order.end(), 9), 5);
    std::erase(order, 9);
    EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
  }
}

TEST(LoopTest, WhatIsDispatchedFromWithinAStrandRunsAtOnce) {
  absl::Duration now;
  Loop loop(1, 0, &now);
  loop.Detach();
  const boost::asio::any_io_executor strand = boost::asio::make_strand(loop.pool());
  std::vector<int> order;
  boost::asio::post(strand, [&] {
    boost::asio::dispatch(strand, [&] { order.push_back(1); });
    order.push_back(2);
  });
  EXPECT_TRUE(loop.RunToEnd(kNever));
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(LoopTest, TimersFireInTheirOrderAndMoveTime) {
  absl::Duration now = absl::Seconds(100);
  Loop loop(1, 0, &now);
  std::vector<absl::Duration> fired;
  const auto note = [&] { fired.push_back(loop.now()); };
  const auto late = loop.After(absl::Hours(1), loop.pool(), note);
  const auto soon = loop.After(absl::Seconds(1), loop.pool(), note);
  auto dropped = loop.After(absl::Seconds(2), loop.pool(), note);
  dropped.reset();
  EXPECT_EQ(loop.next_timer(), absl::Seconds(101));
  loop.Detach();
  EXPECT_TRUE(loop.RunToEnd(kNever));
  EXPECT_THAT(fired, ElementsAre(absl::Seconds(101), absl::Seconds(100) + absl::Hours(1)));
}

TEST(LoopTest, AWaitDroppedWhenItIsDueDoesNotFire) {
  absl::Duration now;
  Loop loop(1, 0, &now);
  bool fired = false;
  auto wait = loop.After(absl::ZeroDuration(), loop.pool(), [&] { fired = true; });
  loop.FireDue();
  EXPECT_EQ(loop.ready(), 1u);
  wait.reset();
  loop.RunOne();
  EXPECT_FALSE(fired);
}

}  // namespace
}  // namespace agentruntime::simulation
