// Ten thousand watchers that mostly wait: what they weigh, what they cost while nothing happens, how soon they are told, and how they come back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/crash/effort.h"
#include "tests/crash/watcher_crowd.h"
#include "tests/support/call_all.h"
#include "tests/support/calls.h"
#include "tests/support/server_usage.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {
namespace {

constexpr int kConnections = 100;
constexpr int kWatchersOfARun = 10;
constexpr double kIdleKibMax = 27;  // a bare stream takes 16.7
constexpr double kIdleKibMaxStrict = 25;
constexpr int64_t kStreamsMeasuredMin = 5'000;             // fewer, and the connections are what is measured
constexpr double kIdleCpuMax = 0.02;                       // of a core
constexpr absl::Duration kDeliveryMax = absl::Seconds(2);  // of one event to each
constexpr absl::Duration kReconnectMax = absl::Seconds(10);
constexpr absl::Duration kHangMax = absl::Seconds(120);  // of anything that is awaited
// Idle for so long. The strict span has two rounds of the bookmarks that show that an idle stream lives.
constexpr absl::Duration kIdleSpan = absl::Seconds(5);
constexpr absl::Duration kIdleSpanStrict = absl::Seconds(60);
constexpr size_t kChurnBatch = 100;  // streams that are cut and opened again at once

class IdleWatchersTest : public ::testing::Test {
 protected:
  using Counts = WatcherCrowd::Counts;

  // Runs that wait for their model, and a stream of each watcher.
  void Begin(int64_t streams) {
    server_.Start();
    stubs_ = std::make_unique<Stubs>(server_.Connect());
    for (int64_t i = 0; i < streams / kWatchersOfARun; ++i) {
      const auto run = Create(*stubs_, Submit("hang"));
      ASSERT_TRUE(run.ok()) << run.status();
      names_.push_back(run->name());
    }
    for (const std::string& name : names_) AwaitEvents(*stubs_, name, kEventsOfAWaitingRun);
    resident_before_ = ResidentBytes(server_.pid());
    crowd_ = std::make_unique<WatcherCrowd>(names_, kWatchersOfARun);
    streams_ = static_cast<int64_t>(crowd_->size());
    OpenAll();
  }

  // All of them at once, on new connections, each from its cursor. How long it took until each was answered.
  absl::Duration OpenAll() {
    const absl::Time began = absl::Now();
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    for (int i = 0; i < kConnections; ++i) channels.push_back(server_.Connect());
    crowd_->Connect(channels);
    for (size_t i = 0; i < crowd_->size(); ++i) crowd_->Open(i);
    EXPECT_TRUE(crowd_->Await([&](const Counts& counts) { return counts.answered == streams_; }, kHangMax)) << crowd_->counts().answered << " are answered";
    return absl::Now() - began;
  }

  void CutAll() {
    for (size_t i = 0; i < crowd_->size(); ++i) crowd_->Cut(i);
    EXPECT_TRUE(crowd_->Await([](const Counts& counts) { return counts.open == 0; }, kHangMax));
  }

  // To all of `names` at once. Returns when each was answered.
  void SendInputs(const std::vector<std::string>& names) {
    std::vector<v1::SendInputRequest> requests(names.size());
    for (size_t i = 0; i < names.size(); ++i) {
      requests[i].set_name(names[i]);
      requests[i].add_input()->set_text("more");
    }
    for (const auto& run : CallAll<v1::Run>(requests, [&](auto... call) { stubs_->run->async()->SendInput(call...); })) EXPECT_TRUE(run.ok()) << run.status();
    inputs_ += static_cast<int64_t>(names.size()) * kWatchersOfARun;
  }
  void AwaitInputs() {
    EXPECT_TRUE(crowd_->Await([&](const Counts& counts) { return counts.inputs >= inputs_; }, kHangMax)) << crowd_->counts().inputs << " of " << inputs_;
  }

  // Cancels every run: each watcher is told of the stop, and nothing was missing or told twice in all its life.
  void EndAll() {
    for (const std::string& name : names_) {
      v1::CancelRunRequest cancel;
      cancel.set_name(name);
      const auto run = Call(stubs_->run, &v1::RunService::Stub::CancelRun, cancel);
      EXPECT_TRUE(run.ok()) << run.status();
    }
    EXPECT_TRUE(crowd_->Await([](const Counts& counts) { return counts.open == 0; }, kHangMax));
    const Counts counts = crowd_->counts();
    EXPECT_EQ(counts.stopped, streams_);
    EXPECT_EQ(counts.inputs, inputs_);
    EXPECT_EQ(counts.faults, 0);
  }

  // What the server takes of a core while nothing happens.
  double IdleCpu(absl::Duration span) {
    const absl::Time began = absl::Now();
    const absl::Duration before = CpuTime(server_.pid());
    EXPECT_FALSE(crowd_->Await([](const Counts& counts) { return counts.faults > 0; }, span));
    return absl::FDivDuration(CpuTime(server_.pid()) - before, absl::Now() - began);
  }

  static constexpr int64_t kEventsOfAWaitingRun = 3;  // created, started, its model called
  TestServer server_;
  std::unique_ptr<Stubs> stubs_;
  std::vector<std::string> names_;
  int64_t resident_before_ = 0;
  int64_t streams_ = 0;
  int64_t inputs_ = 0;  // that the watchers are to have seen in all
  std::unique_ptr<WatcherCrowd> crowd_;
};

TEST_F(IdleWatchersTest, TenThousandAreToldOfEveryEventAndComeBackFromTheirCursors) {
  Effort effort("idle streams over 100 connections", 10'000, 1'000);
  Begin(effort.count());
  ASSERT_FALSE(HasFailure());

  const double cpu = IdleCpu(effort.strict() ? kIdleSpanStrict : kIdleSpan);
  const double each_kib = static_cast<double>(ResidentBytes(server_.pid()) - resident_before_) / static_cast<double>(streams_) / 1024;

  absl::Time began = absl::Now();
  SendInputs(names_);
  AwaitInputs();
  const absl::Duration delivered = absl::Now() - began;

  // All are cut off, miss an event each, and come back at once.
  CutAll();
  SendInputs(names_);
  began = absl::Now();
  const absl::Duration reconnected = OpenAll();
  AwaitInputs();
  const absl::Duration caught_up = absl::Now() - began;
  SendInputs(names_);
  AwaitInputs();
  EndAll();

  effort.Figure("KiB each", each_kib);
  effort.Figure("idle CPU, % of a core", 100 * cpu);
  effort.Figure("seconds from the first of the events to the last delivery", absl::ToDoubleSeconds(delivered));
  effort.Figure("seconds of the storm to the last answer", absl::ToDoubleSeconds(reconnected));
  effort.Figure("seconds of the storm to the last missed event", absl::ToDoubleSeconds(caught_up));
  EXPECT_LE(cpu, kIdleCpuMax * effort.leniency());
  EXPECT_LE(delivered, kDeliveryMax * effort.leniency());
  EXPECT_LE(caught_up, kReconnectMax * effort.leniency());
  if (Release() && streams_ >= kStreamsMeasuredMin) EXPECT_LE(each_kib, effort.strict() ? kIdleKibMaxStrict : kIdleKibMax);
}

TEST_F(IdleWatchersTest, ChurnLosesNothing) {
  Effort effort("seconds of churn", 3, 3);
  Begin(Sanitized() ? 1'000 : 10'000);
  ASSERT_FALSE(HasFailure());
  std::mt19937_64 dice(effort.seed());
  std::vector<size_t> order(crowd_->size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::vector<std::string> some = names_;
  some.resize(std::min<size_t>(some.size(), 100));
  int64_t batches = 0;
  for (const absl::Time until = absl::Now() + absl::Seconds(effort.count()); absl::Now() < until && !HasFailure(); ++batches) {
    std::shuffle(order.begin(), order.end(), dice);
    for (size_t i = 0; i < kChurnBatch; ++i) crowd_->Cut(order[i]);
    // What happens meanwhile is told to those that stay as it comes, and to the others when they are back.
    for (std::string& name : some) name = names_[dice() % names_.size()];
    SendInputs(some);
    EXPECT_TRUE(crowd_->Await([&](const Counts& counts) { return counts.open == streams_ - static_cast<int64_t>(kChurnBatch); }, kHangMax));
    for (size_t i = 0; i < kChurnBatch; ++i) crowd_->Open(order[i]);
    EXPECT_TRUE(crowd_->Await([&](const Counts& counts) { return counts.answered == streams_; }, kHangMax));
  }
  AwaitInputs();
  EndAll();
  effort.Figure("streams cut and opened again", static_cast<double>(batches * static_cast<int64_t>(kChurnBatch)));
  EXPECT_GE(batches, 2);
}

}  // namespace
}  // namespace agentruntime::testing
