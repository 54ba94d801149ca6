#include "runtime/timers.h"

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <vector>

namespace agentruntime {
namespace {

namespace asio = boost::asio;

class SystemTimersTest : public ::testing::Test {
 protected:
  // Runs what was posted, waiting for it, until `done` holds.
  void RunUntil(const bool& done) {
    while (!done) context_.run_one();
  }

  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
  SystemTimers timers_;
};

TEST_F(SystemTimersTest, EarlierOnesComeFirstWhateverTheOrderTheyWereSetIn) {
  std::vector<int> order;
  bool done = false;
  std::vector<std::unique_ptr<Timers::Wait>> waits;
  for (const int ms : {30, 10, 20}) {
    waits.push_back(timers_.After(absl::Milliseconds(ms), context_.get_executor(), [&order, &done, ms] {
      order.push_back(ms);
      done = order.size() == 3;
    }));
  }
  RunUntil(done);
  EXPECT_EQ(order, (std::vector<int>{10, 20, 30}));
}

TEST_F(SystemTimersTest, ADelayThatHasPassedIsDueAtOnce) {
  bool done = false;
  const auto wait = timers_.After(-absl::Seconds(1), context_.get_executor(), [&] { done = true; });
  RunUntil(done);
}

TEST_F(SystemTimersTest, ADroppedWaitIsNotCalled) {
  bool called = false;
  bool done = false;
  auto dropped = timers_.After(absl::Milliseconds(5), context_.get_executor(), [&] { called = true; });
  dropped.reset();
  const auto wait = timers_.After(absl::Milliseconds(20), context_.get_executor(), [&] { done = true; });
  RunUntil(done);
  EXPECT_FALSE(called);
}

// Its thread still sleeps until the one that was dropped would have ended, or longer.
TEST_F(SystemTimersTest, OneThatIsShorterThanWhatWasDroppedIsNotLate) {
  bool done = false;
  timers_.After(absl::Hours(1), context_.get_executor(), [] { ADD_FAILURE() << "it was dropped"; }).reset();
  const auto longer = timers_.After(absl::Hours(2), context_.get_executor(), [] { ADD_FAILURE() << "it came due"; });
  const auto shorter = timers_.After(absl::Milliseconds(5), context_.get_executor(), [&] { done = true; });
  RunUntil(done);
}

// The other way round: what was dropped would have ended first.
TEST_F(SystemTimersTest, OneThatIsLongerThanWhatWasDroppedComesDue) {
  bool done = false;
  timers_.After(absl::Milliseconds(5), context_.get_executor(), [] { ADD_FAILURE() << "it was dropped"; }).reset();
  const auto longer = timers_.After(absl::Milliseconds(20), context_.get_executor(), [&] { done = true; });
  RunUntil(done);
}

TEST(RoughEndTest, RoughWaitsEndTogetherAndNeverEarly) {
  using Instant = std::chrono::steady_clock::time_point;
  using std::chrono::milliseconds;
  EXPECT_EQ(SystemTimers::RoughEnd(Instant(milliseconds(12'345'601))), Instant(milliseconds(12'345'650)));
  EXPECT_EQ(SystemTimers::RoughEnd(Instant(milliseconds(12'345'649))), Instant(milliseconds(12'345'650)));
  EXPECT_EQ(SystemTimers::RoughEnd(Instant(milliseconds(12'345'650))), Instant(milliseconds(12'345'650)));
}

TEST_F(SystemTimersTest, ARoughWaitIsNotOverBeforeItsTime) {
  const auto begin = std::chrono::steady_clock::now();
  bool done = false;
  const auto wait = timers_.AfterRoughly(absl::Milliseconds(20), context_.get_executor(), [&] { done = true; });
  RunUntil(done);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(20));
}

TEST_F(SystemTimersTest, AWaitThatIsDueMayStillBeDroppedOnItsExecutor) {
  bool called = false;
  std::unique_ptr<Timers::Wait> late;
  bool done = false;
  // Both are due before either runs; the first to run drops the other.
  const auto first = timers_.After(absl::ZeroDuration(), context_.get_executor(), [&] {
    late.reset();
    asio::post(context_, [&] { done = true; });
  });
  late = timers_.After(absl::ZeroDuration(), context_.get_executor(), [&] { called = true; });
  std::promise<void> both_due;
  const auto marker = timers_.After(absl::Milliseconds(1), asio::system_executor(), [&] { both_due.set_value(); });
  both_due.get_future().wait();
  RunUntil(done);
  context_.poll();
  EXPECT_FALSE(called);
}

TEST_F(SystemTimersTest, AWaitMayDropItself) {
  bool done = false;
  std::unique_ptr<Timers::Wait> wait;
  wait = timers_.After(absl::ZeroDuration(), context_.get_executor(), [&] {
    wait.reset();
    done = true;
  });
  RunUntil(done);
}

TEST_F(SystemTimersTest, AWaitOutlivesItsTimers) {
  bool called = false;
  auto timers = std::make_unique<SystemTimers>();
  auto wait = timers->After(absl::Hours(1), context_.get_executor(), [&] { called = true; });
  timers.reset();
  wait.reset();
  context_.poll();
  EXPECT_FALSE(called);
}

// A server stops them before its pools end.
TEST_F(SystemTimersTest, OnceStoppedNothingComesDue) {
  timers_.Stop();
  const auto wait = timers_.After(absl::ZeroDuration(), context_.get_executor(), [] { ADD_FAILURE() << "it came due"; });
  EXPECT_EQ(context_.poll(), 0u);
  timers_.Stop();
}

TEST_F(SystemTimersTest, TheLongestDelayIsNoOverflow) {
  bool called = false;
  bool done = false;
  const auto never = timers_.After(absl::InfiniteDuration(), context_.get_executor(), [&] { called = true; });
  const auto wait = timers_.After(absl::Milliseconds(1), context_.get_executor(), [&] { done = true; });
  RunUntil(done);
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace agentruntime
