#include "runtime/fifo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>

namespace agentruntime {
namespace {

using ::testing::ElementsAre;

TEST(FifoTest, GivesBackInTheOrderOfComing) {
  Fifo<int> queue;
  int next = 0;
  int expected = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < round % 7; ++i) queue.push_back(next++);
    for (int i = 0; i < round % 5 && !queue.empty(); ++i) {
      ASSERT_EQ(queue.front(), expected++);
      queue.pop_front();
    }
    ASSERT_EQ(queue.size(), static_cast<size_t>(next - expected));
  }
  EXPECT_GT(expected, 150);
}

TEST(FifoTest, IsWalkedFromItsFront) {
  Fifo<int> queue;
  for (int i = 1; i <= 4; ++i) queue.push_back(i);
  queue.pop_front();
  EXPECT_THAT(queue, ElementsAre(2, 3, 4));
}

// A queue that lives long must not hold what was taken from it.
TEST(FifoTest, LetsGoOfWhatWasTaken) {
  Fifo<std::shared_ptr<int>> queue;
  auto held = std::make_shared<int>(1);
  queue.push_back(held);
  queue.push_back(nullptr);
  queue.push_back(nullptr);
  queue.pop_front();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(FifoTest, TakesNoMemoryWhileItIsNew) { EXPECT_LE(sizeof(Fifo<int>), 4 * sizeof(void*)); }

}  // namespace
}  // namespace agentruntime
