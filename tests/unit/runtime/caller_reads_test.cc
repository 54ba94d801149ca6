// Reads of callers: how many at once, who waits, who is refused, and what becomes of those whose caller leaves.
#include "runtime/caller_reads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/thread_pool.hpp>
#include <future>
#include <memory>
#include <vector>

#include "proto/util/errors.h"
#include "tests/support/await.h"
#include "tests/support/coroutine.h"
#include "tests/support/held_reads.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using ::testing::ElementsAre;
using testing::HeldReads;
using Kind = CallerReads::Kind;
using Running = testing::Running<absl::StatusOr<int>>;

class CallerReadsTest : public ::testing::Test {
 public:
  ~CallerReadsTest() override {
    held_.Release();
    pool_.join();
  }

  void Open(CallerReads::Bounds bounds) { reads_ = std::make_shared<CallerReads>(pool_.get_executor(), bounds); }

  // A read that returns `number` once reads are not held any more.
  asio::awaitable<absl::StatusOr<int>> Read(Kind kind, int number, std::stop_token left = {}) {
    return reads_->Read(
        kind,
        [this, number](const std::stop_token&) -> absl::StatusOr<int> {
          {
            MutexLock lock(mu_);
            begun_.push_back(number);
          }
          held_.Pass();
          return number;
        },
        std::move(left));
  }
  std::unique_ptr<Running> Begin(Kind kind, int number, std::stop_token left = {}) {
    return std::make_unique<Running>([this, kind, number, left] { return Read(kind, number, left); });
  }
  std::unique_ptr<Running> BeginToWait(Kind kind, int number, std::stop_token left = {}) {
    const int64_t before = reads_->waiting();
    auto read = Begin(kind, number, std::move(left));
    testing::AwaitThat("the read waits", [&] { return reads_->waiting() == before + 1; });
    return read;
  }
  // One that is under way, and stays so.
  std::unique_ptr<Running> BeginAndHold(Kind kind, int number) {
    held_.Hold();
    const int before = held_.under_way();
    auto read = Begin(kind, number);
    held_.AwaitUnderWay(before + 1);
    return read;
  }
  absl::Status Refusal(Kind kind) { return Begin(kind, 0)->Get().status(); }
  std::vector<int> begun() {
    MutexLock lock(mu_);
    return begun_;
  }

  asio::thread_pool pool_{4};
  std::shared_ptr<CallerReads> reads_;
  HeldReads held_;
  Mutex mu_;
  std::vector<int> begun_ ABSL_GUARDED_BY(mu_);
};

TEST_F(CallerReadsTest, TheOthersWaitInTheOrderTheyCame) {
  Open({.at_once_max = 1, .walks_at_once_max = 1, .waiting_max = 9});
  std::vector<std::unique_ptr<Running>> reads;
  reads.push_back(BeginAndHold(Kind::kRows, 1));
  reads.push_back(BeginToWait(Kind::kRows, 2));
  reads.push_back(BeginToWait(Kind::kWalk, 3));
  reads.push_back(BeginToWait(Kind::kWatcher, 4));
  reads.push_back(BeginToWait(Kind::kRows, 5));
  EXPECT_EQ(reads_->under_way(), 1);
  EXPECT_EQ(held_.under_way(), 1) << "the pool has threads for all of them";
  held_.Release();
  for (size_t i = 0; i < reads.size(); ++i) EXPECT_EQ(reads[i]->Get().value(), static_cast<int>(i) + 1);
  EXPECT_THAT(begun(), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(CallerReadsTest, OneOverTheBoundIsRefusedAndToldSo) {
  Open({.at_once_max = 1, .walks_at_once_max = 1, .waiting_max = 2});
  const auto under_way = BeginAndHold(Kind::kRows, 1);
  const auto row = BeginToWait(Kind::kRows, 2);
  const auto walk = BeginToWait(Kind::kWalk, 3);
  for (const Kind kind : {Kind::kRows, Kind::kWalk}) {
    const absl::Status refusal = Refusal(kind);
    EXPECT_EQ(refusal.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(refusal), v1::ERROR_REASON_QUEUE_FULL);
    EXPECT_EQ(refusal.message(), "the server holds 2 waiting reads, its limit; try again later");
  }
  const auto watcher = BeginToWait(Kind::kWatcher, 4);  // bounded elsewhere, and a stream is not to break for it
  held_.Release();
  EXPECT_TRUE(watcher->Get().ok());
  EXPECT_EQ(Begin(Kind::kRows, 5)->Get().value(), 5);
}

TEST_F(CallerReadsTest, WatchersTakeNoPlaceOfOthersThatWait) {
  Open({.at_once_max = 1, .walks_at_once_max = 1, .waiting_max = 1});
  const auto under_way = BeginAndHold(Kind::kWatcher, 1);
  const auto second = BeginToWait(Kind::kWatcher, 2);
  const auto third = BeginToWait(Kind::kWatcher, 3);
  const auto row = BeginToWait(Kind::kRows, 4);
  EXPECT_EQ(Refusal(Kind::kRows).code(), absl::StatusCode::kResourceExhausted);
  held_.Release();
  EXPECT_TRUE(row->Get().ok());
}

TEST_F(CallerReadsTest, AWalkLeavesAPlaceForRows) {
  Open({.at_once_max = 2, .walks_at_once_max = 1, .waiting_max = 9});
  const auto walk = BeginAndHold(Kind::kWalk, 1);
  const auto next_walk = BeginToWait(Kind::kWalk, 2);
  const auto row = BeginAndHold(Kind::kRows, 3);
  const auto next_row = BeginToWait(Kind::kRows, 4);
  held_.Release();
  EXPECT_TRUE(next_walk->Get().ok());
  EXPECT_TRUE(next_row->Get().ok());
}

TEST_F(CallerReadsTest, ACallerWhoLeavesTakesItsReadAlong) {
  Open({.at_once_max = 1, .walks_at_once_max = 1, .waiting_max = 1});
  const auto under_way = BeginAndHold(Kind::kRows, 1);
  const auto gone = BeginToWait(Kind::kRows, 2);
  EXPECT_EQ(Refusal(Kind::kRows).code(), absl::StatusCode::kResourceExhausted);
  gone->Cancel();
  EXPECT_EQ(gone->Get().status().code(), absl::StatusCode::kCancelled);
  const auto next = BeginToWait(Kind::kRows, 3);
  held_.Release();
  EXPECT_EQ(next->Get().value(), 3);
  EXPECT_THAT(begun(), ElementsAre(1, 3));
}

TEST_F(CallerReadsTest, OneWhoSaysSoHasLeftToo) {
  Open({.at_once_max = 1, .walks_at_once_max = 1, .waiting_max = 1});
  const auto under_way = BeginAndHold(Kind::kRows, 1);
  std::stop_source left;
  const auto gone = BeginToWait(Kind::kWatcher, 2, left.get_token());
  left.request_stop();
  EXPECT_EQ(gone->Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Begin(Kind::kWatcher, 3, left.get_token())->Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(reads_->waiting(), 0);
  held_.Release();
  EXPECT_TRUE(under_way->Get().ok());
}

TEST_F(CallerReadsTest, AReadUnderWayIsAskedToStop) {
  Open({.at_once_max = 1, .walks_at_once_max = 1, .waiting_max = 1});
  std::promise<void> began;
  Running read([&] {
    return reads_->Read(Kind::kWalk, [&began](const std::stop_token& stop) -> absl::StatusOr<int> {
      std::promise<void> asked;
      const std::stop_callback wake(stop, [&asked] { asked.set_value(); });
      began.set_value();
      asked.get_future().wait();
      return 7;
    });
  });
  began.get_future().wait();
  read.Cancel();
  EXPECT_EQ(read.Get().value(), 7) << "whoever waits, waits for its end";
}

// A cancellation is told once.
TEST_F(CallerReadsTest, WhoHasLeftBeginsNoOther) {
  Open({.at_once_max = 1, .walks_at_once_max = 1, .waiting_max = 1});
  const auto two = [](CallerReadsTest* test) -> asio::awaitable<absl::StatusOr<int>> {
    const auto first = co_await test->Read(Kind::kRows, 1);
    EXPECT_TRUE(first.ok()) << first.status();
    co_return co_await test->Read(Kind::kRows, 2);
  };
  held_.Hold();
  Running reads([&] { return two(this); });
  held_.AwaitUnderWay(1);
  reads.Cancel();
  held_.Release();
  EXPECT_EQ(reads.Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(begun(), ElementsAre(1));
}

}  // namespace
}  // namespace agentruntime
