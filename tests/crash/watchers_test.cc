// Slow watchers beside runs at full rate harm nobody.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "proto/base/mutex.h"
#include "proto/util/time.h"
#include "tests/crash/effort.h"
#include "tests/support/calls.h"
#include "tests/support/server_usage.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {
namespace {

constexpr int kRuns = 200;
constexpr int64_t kGrowthMax = 64 << 20;
// What the journals of all runs hold: were it all buffered for those that do not read it, it would show.
constexpr int64_t kJournalBytes = 2 * kGrowthMax;
// What slow watchers may do to the 99th percentile of the runs' steps, over rounds that take turns; the second on a machine that others use too.
constexpr double kSlowdownMax = 1.1;
constexpr double kSlowdownMaxShared = 3;
// A run's tokens have a bound, and each step reads all steps before it: more steps are more runs, one after the other, each under watchers of its own.
constexpr int64_t kStepsOfARunMax = 5'000;
constexpr int64_t kRoundsMin = 3;
constexpr int kSampledEvery = 10;                        // of whose runs the steps are timed: to read all of them takes longer than to run them
constexpr absl::Duration kReadEvery = absl::Seconds(1);  // what a slow watcher that does read takes for an event
constexpr int kWindowBytes = 64 << 10;                   // of a slow watcher's stream
constexpr absl::Duration kSettled = absl::Seconds(2);
constexpr absl::Duration kSettleMax = absl::Seconds(60);
constexpr int64_t kShrinkMin = 1 << 20;
// The server's allocator gives back at once what is free, so that what is left is what is held. Else the room of a hundred megabytes of runs that have ended
// hides what the watchers hold.
const char kGiveBack[] = "background_thread:true,dirty_decay_ms:200,muzzy_decay_ms:0";
constexpr absl::Duration kPoll = absl::Milliseconds(50);
constexpr absl::Duration kSampled = absl::Milliseconds(20);
constexpr absl::Duration kDelay = absl::Seconds(1);  // until all watchers are there

// A run takes a few milliseconds: it waits before its first decision until all are watched, or nobody would follow it live.
void Configure(TestServer& server, int64_t steps) {
  server.Write("tester.yaml", "name: tester\nmodel: script\ntools: [calculator]\nlimits: {max_steps: 10000, max_tool_calls: 10000, max_tokens: 1000000000}\n");
  server.Write("script.json",
               absl::StrCat(R"({"context_tokens": 1000000, "rules": [
    {"input_contains": "", "steps": [{"delay": ")",
                            absl::FormatDuration(kDelay), R"(", "calls": [{"tool": "calculator", "arguments": {"expression": "1+1"}}]}, {"repeat": )", steps,
                            R"(, "text": [")", std::string(static_cast<size_t>(kJournalBytes / kRuns / steps), 'x'),
                            R"("], "calls": [{"tool": "calculator", "arguments": {"expression": "{step}+1"}}]}, {"text": ["done"]}]}]})"));
}

// A stream that is not read, or now and then one message of it.
struct SlowWatcher {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::WatchRunResponse>> reader;
  v1::WatchRunResponse response;
  int64_t last = 0;
  int64_t bytes = 0;
  bool stopped = false;

  void Leave() {
    context.TryCancel();
    reader->Finish();
  }
  // False at the end; a gap fails the test.
  bool Read() {
    if (!reader->Read(&response)) return false;
    if (response.has_event()) {
      EXPECT_EQ(response.event().sequence(), last + 1);
      last = response.event().sequence();
      bytes += static_cast<int64_t>(response.event().ByteSizeLong());
      stopped = response.event().has_run_stopped();
    }
    return true;
  }
};

// Lengths of steps, from one decision of a run to its next.
class Steps {
 public:
  void Add(const v1::Event& event) {
    if (!event.has_decision_made()) return;
    const absl::Time time = FromProto(event.time());
    if (event.step() > 1) ms_.push_back(absl::ToDoubleMilliseconds(time - last_));
    last_ = time;
  }
  double Percentile(double part) {
    if (ms_.empty()) return 0;
    const auto at = static_cast<size_t>(part * static_cast<double>(ms_.size() - 1));
    std::nth_element(ms_.begin(), ms_.begin() + static_cast<int64_t>(at), ms_.end());
    return ms_[at];
  }

 private:
  absl::Time last_;
  std::vector<double> ms_;
};

// Every other one of the watchers reads an event a second, on a thread of its own. The watchers outlive it.
class SlowReader {
 public:
  explicit SlowReader(const std::vector<std::unique_ptr<SlowWatcher>>& watchers)
      : thread_([this, &watchers] {
          do {
            for (size_t i = 0; i < watchers.size(); i += 2) EXPECT_TRUE(watchers[i]->Read());
            ++rounds_;
          } while (!Done());
        }) {}
  // How many events each of them has read.
  int End() {
    {
      MutexLock lock(mu_);
      done_ = true;
      changed_.NotifyAll();
    }
    thread_.join();
    return rounds_;
  }

 private:
  bool Done() {
    MutexLock lock(mu_);
    for (const absl::Time until = absl::Now() + kReadEvery; !done_ && absl::Now() < until;) changed_.WaitFor(mu_, until - absl::Now());
    return done_;
  }

  Mutex mu_;
  CondVar changed_;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  int rounds_ = 0;      // of the thread, until it has ended
  std::thread thread_;  // last: it uses the others
};

// The most that a server took at once, looked at again and again by a thread of its own.
class PeakBytes {
 public:
  explicit PeakBytes(pid_t server)
      : thread_([this, server] {
          do {
            peak_ = std::max(peak_, ResidentBytes(server));
          } while (!done_.WaitForNotificationWithTimeout(kSampled));
        }) {}
  int64_t End() {
    done_.Notify();
    thread_.join();
    return peak_;
  }

 private:
  int64_t peak_ = 0;  // of the thread, until it has ended
  absl::Notification done_;
  std::thread thread_;  // last: it uses the others
};

double MiB(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

class WatchersTest : public ::testing::Test {
 protected:
  void Begin(int64_t steps) {
    Configure(server_, steps);
    server_.Start();
    stubs_ = std::make_unique<Stubs>(server_.Connect());
  }
  std::vector<std::string> SubmitRuns() {
    std::vector<std::string> names;
    for (int i = 0; i < kRuns; ++i) {
      const auto run = Create(*stubs_, Submit("count"));
      EXPECT_TRUE(run.ok()) << run.status();
      if (run.ok()) names.push_back(run->name());
    }
    return names;
  }
  void AwaitAll(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      absl::StatusOr<v1::Run> run = AwaitStop(*stubs_, name);
      for (int i = 0; i < 10 && run.ok() && run->state() != v1::RUN_STATE_STOPPED; ++i) run = AwaitStop(*stubs_, name);
      ASSERT_TRUE(run.ok()) << run.status();
      ASSERT_EQ(run->stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << run->stop().ShortDebugString();
    }
  }
  // On a connection that takes little ahead of what is read: by default gRPC's client widens its windows until it holds whole journals for us.
  std::vector<std::unique_ptr<SlowWatcher>> WatchSlowly(const std::vector<std::string>& names) {
    grpc::ChannelArguments narrow;
    narrow.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    narrow.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kWindowBytes);
    const auto stub = v1::RunService::NewStub(grpc::CreateCustomChannel(server_.address(), grpc::InsecureChannelCredentials(), narrow));
    std::vector<std::unique_ptr<SlowWatcher>> watchers;
    for (const std::string& name : names) {
      auto& watcher = watchers.emplace_back(std::make_unique<SlowWatcher>());
      v1::WatchRunRequest request;
      request.set_name(name);
      watcher->reader = stub->WatchRun(&watcher->context, request);
    }
    for (const auto& watcher : watchers) {
      while (watcher->last == 0 && watcher->Read()) {
      }
    }
    return watchers;
  }
  // More than the server held for all of them: the rest is read from the journal, and nothing is missing.
  static void ExpectCaughtUp(const std::vector<std::unique_ptr<SlowWatcher>>& watchers, int64_t steps) {
    int64_t bytes = 0;
    for (const auto& watcher : watchers) {
      while (watcher->Read()) {
      }
      const grpc::Status status = watcher->reader->Finish();
      EXPECT_TRUE(status.ok()) << status.error_message();
      EXPECT_TRUE(watcher->stopped);
      EXPECT_GT(watcher->last, 3 * steps);
      bytes += watcher->bytes;
    }
    EXPECT_GT(bytes, kJournalBytes);
  }
  void Delete(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      v1::DeleteRunRequest request;
      request.set_name(name);
      const auto deleted = Call(stubs_->run, &v1::RunService::Stub::DeleteRun, request);
      EXPECT_TRUE(deleted.ok()) << deleted.status();
    }
  }
  Steps StepsOf(const std::vector<std::string>& names) {
    Steps steps;
    for (size_t i = 0; i < names.size(); i += kSampledEvery) {
      for (const v1::Event& event : Watch(*stubs_, names[i]).events()) steps.Add(event);
    }
    return steps;
  }
  // What the server holds, once what the runs took is given back: when it has not shrunk for a while.
  int64_t SettledBytes() {
    const absl::Time until = absl::Now() + kSettleMax;
    int64_t least = ResidentBytes(server_.pid());
    for (absl::Time since = absl::Now(); absl::Now() < std::min(since + kSettled, until); absl::SleepFor(kPoll)) {
      const int64_t now = ResidentBytes(server_.pid());
      if (now >= least - kShrinkMin) continue;
      least = now;
      since = absl::Now();
    }
    return least;
  }

  TestServer server_;
  std::unique_ptr<Stubs> stubs_;
};

// What they hold of the server when nothing else does.
TEST_F(WatchersTest, SlowOnesTakeABoundedBufferAndCatchUpFromTheJournal) {
  Effort effort("steps of each of 200 runs, beside 200 watchers that hardly read", 500, 20);
  server_.SetVariable("MALLOC_CONF", kGiveBack);
  Begin(effort.count());
  AwaitAll(SubmitRuns());  // what the runs themselves take
  const int64_t before = SettledBytes();
  const std::vector<std::string> names = SubmitRuns();
  const auto watchers = WatchSlowly(names);
  SlowReader reader(watchers);
  AwaitAll(names);
  reader.End();
  const int64_t growth = SettledBytes() - before;
  ExpectCaughtUp(watchers, effort.count());
  effort.Figure("growth MiB", MiB(growth));
  if (Release()) EXPECT_LE(growth, kGrowthMax);
}

// What they cost while runs go on at full rate, in turns with the same load without them.
TEST_F(WatchersTest, RunsAtFullRateDoNotFeelSlowOnes) {
  if (Sanitized()) return;  // of time and memory, which say nothing there
  Effort effort("steps of each of 200 runs at once, with and without 200 watchers that hardly read", 1'800, 1'800);
  const int64_t rounds = std::max(kRoundsMin, (effort.count() + kStepsOfARunMax - 1) / kStepsOfARunMax);
  const int64_t steps = effort.count() / rounds;
  Begin(steps);
  std::vector<double> p99_alone, p99_beside, p50_alone, p50_beside;
  int64_t peak_alone = 0, peak_beside = 0, least_read = std::numeric_limits<int64_t>::max();
  absl::Duration under_load;
  for (int64_t round = 0; round < rounds && !HasFailure(); ++round) {
    absl::Time began = absl::Now();
    PeakBytes alone_bytes(server_.pid());
    const std::vector<std::string> unwatched = SubmitRuns();
    AwaitAll(unwatched);
    peak_alone = std::max(peak_alone, alone_bytes.End());
    under_load += absl::Now() - began - kDelay;

    began = absl::Now();
    PeakBytes beside_bytes(server_.pid());
    const std::vector<std::string> names = SubmitRuns();
    const auto watchers = WatchSlowly(names);
    SlowReader reader(watchers);  // half of them read one event a second, the others none
    AwaitAll(names);
    peak_beside = std::max(peak_beside, beside_bytes.End());
    under_load += absl::Now() - began - kDelay;
    least_read = std::min<int64_t>(least_read, reader.End());
    for (const auto& watcher : watchers) watcher->Leave();
    Steps alone = StepsOf(unwatched);
    Steps beside = StepsOf(names);
    p50_alone.push_back(alone.Percentile(0.5));
    p99_alone.push_back(alone.Percentile(0.99));
    p50_beside.push_back(beside.Percentile(0.5));
    p99_beside.push_back(beside.Percentile(0.99));
    if (rounds > kRoundsMin) {  // or many rounds fill the disk
      Delete(unwatched);
      Delete(names);
    }
  }
  const double slowdown = Median(p99_beside) / Median(p99_alone);
  effort.Figure("seconds at full rate", absl::ToDoubleSeconds(under_load));
  effort.Figure("fewest events that a watcher of one a second read beside the runs", static_cast<double>(least_read));
  effort.Figure("step p50 without watchers, ms", Median(p50_alone));
  effort.Figure("step p99 without watchers, ms", Median(p99_alone));
  effort.Figure("step p50 with them, ms", Median(p50_beside));
  effort.Figure("step p99 with them, ms", Median(p99_beside));
  effort.Figure("p99 with them by p99 without", slowdown);
  effort.Figure("peak without watchers, MiB", MiB(peak_alone));
  effort.Figure("peak with them, MiB", MiB(peak_beside));
  if (Release()) EXPECT_LE(slowdown, effort.strict() ? kSlowdownMax : kSlowdownMaxShared);
  if (Release()) EXPECT_LE(peak_beside - peak_alone, kGrowthMax);
}

}  // namespace
}  // namespace agentruntime::testing
