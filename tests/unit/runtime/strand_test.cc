#include "runtime/strand.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

namespace agentruntime {
namespace {

namespace asio = boost::asio;

TEST(StrandTest, FunctionsOfManyThreadsRunOneAtATime) {
  constexpr int kEach = 5000;
  asio::thread_pool pool(4);
  const Strand strand = Strand::On(pool.get_executor());
  int count = 0;  // plain: the race detector and a lost update would show two at once
  for (int thread = 0; thread < 4; ++thread) {
    asio::post(pool, [&] {
      for (int i = 0; i < kEach; ++i) asio::post(strand, [&] { ++count; });
    });
  }
  pool.join();
  EXPECT_EQ(count, 4 * kEach);
}

TEST(StrandTest, FunctionsRunInTheirOrder) {
  asio::thread_pool pool(4);
  const Strand strand = Strand::On(pool.get_executor());
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) asio::post(strand, [&order, i] { order.push_back(i); });
  pool.join();
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[i], i);
}

TEST(StrandTest, DispatchFromWithinRunsAtOnceAndPostDoesNot) {
  asio::io_context context;
  const asio::any_io_executor strand = Strand::On(context.get_executor());
  std::vector<std::string> order;
  asio::post(strand, [&] {
    asio::post(strand, [&] { order.push_back("posted"); });
    asio::dispatch(strand, [&] { order.push_back("dispatched"); });
    order.push_back("after");
  });
  context.run();
  EXPECT_EQ(order, (std::vector<std::string>{"dispatched", "after", "posted"}));
}

TEST(StrandTest, AnotherStrandIsNotWithin) {
  asio::io_context context;
  const Strand one = Strand::On(context.get_executor());
  const Strand other = Strand::On(context.get_executor());
  EXPECT_NE(one, other);
  std::vector<std::string> order;
  asio::post(one, [&] {
    asio::dispatch(other, [&] { order.push_back("other"); });
    order.push_back("one");
  });
  context.run();
  EXPECT_EQ(order, (std::vector<std::string>{"one", "other"}));
}

TEST(StrandTest, ABusyStrandLeavesOthersTheirTurn) {
  asio::io_context context;  // one thread
  const Strand busy = Strand::On(context.get_executor());
  int rounds = 0;
  bool other_ran = false;
  std::function<void()> again = [&] {
    if (++rounds < 1000 && !other_ran) asio::post(busy, again);
  };
  asio::post(busy, again);
  asio::post(context, [&] { other_ran = true; });
  context.run();
  EXPECT_TRUE(other_ran);
  EXPECT_LT(rounds, 1000);
}

TEST(StrandTest, APoolThatStopsDropsWhatIsQueued) {
  auto context = std::make_unique<asio::io_context>();
  const auto kept = std::make_shared<int>(0);
  {
    const Strand strand = Strand::On(context->get_executor());
    for (int i = 0; i < 2; ++i) asio::post(strand, [strand, kept] { ++*kept; });  // they hold what holds them
  }
  EXPECT_EQ(kept.use_count(), 3);
  context.reset();
  EXPECT_EQ(kept.use_count(), 1);
  EXPECT_EQ(*kept, 0);
}

TEST(StrandTest, ACoroutineStaysOnIt) {
  asio::thread_pool pool(4);
  const Strand strand = Strand::On(pool.get_executor());
  int count = 0;
  std::vector<std::future<void>> ends;
  for (int i = 0; i < 8; ++i) {
    ends.push_back(asio::co_spawn(
        strand,
        [&]() -> asio::awaitable<void> {
          for (int step = 0; step < 1000; ++step) {
            ++count;
            co_await asio::post(asio::use_awaitable);
          }
        },
        asio::use_future));
  }
  for (auto& end : ends) end.get();
  EXPECT_EQ(count, 8000);
}

}  // namespace
}  // namespace agentruntime
