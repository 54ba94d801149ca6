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

constexpr int64_t kStreams = 10'000;
constexpr int64_t kStreamsSanitized = 1'000;
constexpr int kConnections = 100;
constexpr int kWatchersOfARun = 10;
constexpr double kIdleKibMaxStrict = 25;        // a bare stream takes 16.7
constexpr double kIdleKibMax = 26;              // on a machine that others use, too: what is under way between threads takes more there, 25.3 were seen
constexpr double kChurnedKibMax = 27;           // behind churn: the holes that streams leave between others take up to 2 KiB each, what the runs were told 1
constexpr int64_t kStreamsMeasuredMin = 5'000;  // fewer, and the connections are what is measured
constexpr double kIdleCpuMax = 0.02;            // of a core
constexpr absl::Duration kDeliveryMax = absl::Seconds(2);  // of one event to each
constexpr absl::Duration kReconnectMax = absl::Seconds(10);
constexpr absl::Duration kGiveBackMax = absl::Seconds(10);  // until the server has given back what it freed
constexpr absl::Duration kHangMax = absl::Seconds(120);     // of anything that is awaited
// The rounds of the bookmarks that show that an idle stream lives, one every half a minute, over which a crowd is idle.
constexpr int64_t kIdleRounds = 1;
constexpr int64_t kIdleRoundsStrict = 2;
constexpr size_t kChurnBatch = 100;          // streams that are cut and opened again at once
constexpr size_t kChurnInputs = 100;         // runs that are told something meanwhile
constexpr int64_t kChurnInputsMax = 10'000;  // then one run a batch: what runs were told stays with them, and is not the watchers'

// A server of its own whose runs wait for their model, and the streams of their watchers.
class WatchedServer {
 public:
  using Counts = WatcherCrowd::Counts;

  explicit WatchedServer(int64_t streams) {
    server_.Start();
    stubs_ = std::make_unique<Stubs>(server_.Connect());
    // One after the other: what many calls at once take and leave behind would be counted for the streams, to their advantage.
    for (int64_t i = 0; i < streams / kWatchersOfARun; ++i) {
      const auto run = Create(*stubs_, Submit("hang"));
      EXPECT_TRUE(run.ok()) << run.status();
      if (run.ok()) names_.push_back(run->name());
    }
    AwaitThat("every run waits for its model", [&] { return Waiting() == names_.size(); });
    resident_before_ = ResidentBytes(server_.pid());
    crowd_ = std::make_unique<WatcherCrowd>(names_, kWatchersOfARun);
    streams_ = static_cast<int64_t>(crowd_->size());
    OpenAll();
    AwaitSnapshots(kSnapshotsAtFirst);
    began_ = absl::Now();
    cpu_before_ = CpuTime(server_.pid());
  }

  WatcherCrowd& crowd() { return *crowd_; }
  const std::vector<std::string>& names() const { return names_; }
  int64_t streams() const { return streams_; }

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
  // An event to each of them; how long until the last was told.
  absl::Duration TellAll() {
    const absl::Time began = absl::Now();
    SendInputs(names_);
    AwaitInputs();
    return absl::Now() - began;
  }

  // Cancels every run: each watcher is told of the stop, and nothing was missing or told twice in all its life.
  void EndAll() {
    std::vector<v1::CancelRunRequest> requests(names_.size());
    for (size_t i = 0; i < names_.size(); ++i) requests[i].set_name(names_[i]);
    for (const auto& run : CallAll<v1::Run>(requests, [&](auto... call) { stubs_->run->async()->CancelRun(call...); })) EXPECT_TRUE(run.ok()) << run.status();
    EXPECT_TRUE(crowd_->Await([](const Counts& counts) { return counts.open == 0; }, kHangMax));
    const Counts counts = crowd_->counts();
    EXPECT_EQ(counts.stopped, streams_);
    EXPECT_EQ(counts.inputs, inputs_);
    EXPECT_EQ(counts.faults, 0);
  }

  // What the server has grown by, for each stream.
  double KibEach() { return static_cast<double>(ResidentBytes(server_.pid()) - resident_before_) / static_cast<double>(streams_) / 1024; }

  // The same once the server has given back what it freed: as soon as it is at most `most`, or after a time. (Other builds give back nothing.)
  double KibEachInPeace(double most) {
    const absl::Time until = absl::Now() + kGiveBackMax;
    while (Release() && KibEach() > most && absl::Now() < until) continue;
    return KibEach();
  }

  // What the server takes of a core while nothing happens, from the beginning to the end of so many rounds of bookmarks.
  double IdleCpu(int64_t rounds) {
    AwaitSnapshots(kSnapshotsAtFirst + rounds);
    EXPECT_EQ(crowd_->counts().faults, 0);
    return absl::FDivDuration(CpuTime(server_.pid()) - cpu_before_, absl::Now() - began_);
  }

 private:
  static constexpr int64_t kEventsOfAWaitingRun = 3;  // created, started, its model called
  static constexpr int64_t kSnapshotsAtFirst = 2;     // of each: as the stream begins, and when it has caught up

  // Runs whose model has been called. (A page holds all of them.)
  size_t Waiting() {
    v1::ListRunsRequest request;
    request.set_page_size(1000);
    const auto page = Call(stubs_->run, &v1::RunService::Stub::ListRuns, request);
    if (!page.ok()) return 0;
    return static_cast<size_t>(
        std::count_if(page->runs().begin(), page->runs().end(), [](const v1::Run& run) { return run.last_sequence() >= kEventsOfAWaitingRun; }));
  }
  void AwaitSnapshots(int64_t each) {
    EXPECT_TRUE(crowd_->Await([&](const Counts& counts) { return counts.snapshots >= each * streams_; }, kHangMax)) << crowd_->counts().snapshots;
  }

  TestServer server_;
  std::unique_ptr<Stubs> stubs_;
  std::vector<std::string> names_;
  int64_t resident_before_ = 0;
  int64_t streams_ = 0;
  int64_t inputs_ = 0;  // that the watchers are to have seen in all
  std::unique_ptr<WatcherCrowd> crowd_;
  absl::Time began_;  // to be idle
  absl::Duration cpu_before_;
};

// Half a minute of nothing costs nothing but time: one crowd is idle beside all tests, until the last of them asks what that took.
class IdleWatchersTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!Sanitized()) idle_ = new WatchedServer(kStreams);
  }
  static void TearDownTestSuite() { delete idle_; }

  static void ExpectAtMost(double kib_max, double each_kib, int64_t streams) {
    if (Release() && streams >= kStreamsMeasuredMin) EXPECT_LE(each_kib, kib_max);
  }

  static inline WatchedServer* idle_ = nullptr;
};

TEST_F(IdleWatchersTest, TenThousandAreToldOfEveryEventAndComeBackFromTheirCursors) {
  Effort effort("idle streams over 100 connections", kStreams, kStreamsSanitized);
  WatchedServer watched(effort.count());
  ASSERT_FALSE(HasFailure());
  const double each_kib = watched.KibEach();
  const absl::Duration delivered = watched.TellAll();

  // All are cut off, miss an event each, and come back at once.
  watched.CutAll();
  watched.SendInputs(watched.names());
  const absl::Time began = absl::Now();
  const absl::Duration reconnected = watched.OpenAll();
  watched.AwaitInputs();
  const absl::Duration caught_up = absl::Now() - began;
  watched.TellAll();
  watched.EndAll();

  effort.Figure("KiB each", each_kib);
  effort.Figure("seconds from the first of the events to the last delivery", absl::ToDoubleSeconds(delivered));
  effort.Figure("seconds of the storm to the last answer", absl::ToDoubleSeconds(reconnected));
  effort.Figure("seconds of the storm to the last missed event", absl::ToDoubleSeconds(caught_up));
  EXPECT_LE(delivered, kDeliveryMax * effort.leniency());
  EXPECT_LE(caught_up, kReconnectMax * effort.leniency());
  ExpectAtMost(effort.strict() ? kIdleKibMaxStrict : kIdleKibMax, each_kib, watched.streams());
}

TEST_F(IdleWatchersTest, ChurnLosesNothingAndLeavesNothing) {
  Effort effort("seconds of churn", 3, 3);
  WatchedServer watched(Sanitized() ? kStreamsSanitized : kStreams);
  ASSERT_FALSE(HasFailure());
  WatcherCrowd& crowd = watched.crowd();
  std::mt19937_64 dice(effort.seed());
  std::vector<size_t> order(crowd.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  int64_t batches = 0, told = 0;
  for (const absl::Time until = absl::Now() + absl::Seconds(effort.count()); absl::Now() < until && !HasFailure(); ++batches) {
    std::shuffle(order.begin(), order.end(), dice);
    for (size_t i = 0; i < kChurnBatch; ++i) crowd.Cut(order[i]);
    // What happens meanwhile is told to those that stay as it comes, and to the others when they are back.
    std::vector<std::string> some(told < kChurnInputsMax ? kChurnInputs : 1);
    for (std::string& name : some) name = watched.names()[dice() % watched.names().size()];
    watched.SendInputs(some);
    told += static_cast<int64_t>(some.size());
    const auto gone = watched.streams() - static_cast<int64_t>(kChurnBatch);
    EXPECT_TRUE(crowd.Await([&](const WatcherCrowd::Counts& counts) { return counts.open == gone; }, kHangMax));
    for (size_t i = 0; i < kChurnBatch; ++i) crowd.Open(order[i]);
    EXPECT_TRUE(crowd.Await([&](const WatcherCrowd::Counts& counts) { return counts.answered == watched.streams(); }, kHangMax));
  }
  watched.AwaitInputs();
  const double at_once_kib = watched.KibEach();
  const double each_kib = watched.KibEachInPeace(kIdleKibMaxStrict);
  const absl::Duration delivered = watched.TellAll();
  watched.EndAll();
  effort.Figure("streams cut and opened again", static_cast<double>(batches * static_cast<int64_t>(kChurnBatch)));
  effort.Figure("KiB each at the end of the churn", at_once_kib);
  effort.Figure("KiB each behind it", each_kib);
  effort.Figure("seconds from the first of the events behind it to the last delivery", absl::ToDoubleSeconds(delivered));
  EXPECT_GE(batches, 2);
  EXPECT_LE(delivered, kDeliveryMax * effort.leniency());
  ExpectAtMost(kChurnedKibMax, each_kib, watched.streams());
}

// Last: it has been idle all the while.
TEST_F(IdleWatchersTest, IdleOnesCostHardlyAnything) {
  if (Sanitized()) return;  // what a sanitizer takes says nothing
  Effort effort("idle streams, beside the tests above", kStreams, kStreams);
  const double cpu = idle_->IdleCpu(effort.strict() ? kIdleRoundsStrict : kIdleRounds);
  const double each_kib = idle_->KibEach();
  idle_->EndAll();
  effort.Figure("idle CPU, % of a core", 100 * cpu);
  effort.Figure("KiB each", each_kib);
  EXPECT_LE(cpu, kIdleCpuMax * effort.leniency());
  ExpectAtMost(effort.strict() ? kIdleKibMaxStrict : kIdleKibMax, each_kib, idle_->streams());
}

}  // namespace
}  // namespace agentruntime::testing
