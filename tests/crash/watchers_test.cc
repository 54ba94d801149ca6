// Slow watchers beside runs at full rate harm nobody.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/base/mutex.h"
#include "proto/util/time.h"
#include "tests/crash/effort.h"
#include "tests/crash/server_usage.h"
#include "tests/support/calls.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {
namespace {

constexpr int kRuns = 200;
constexpr int64_t kGrowthMax = 64 << 20;
// What slow watchers may do to the 99th percentile of the runs' steps; judged where there are enough steps (in the long form), else printed.
constexpr double kSlowdownMax = 1.1;
constexpr int64_t kStepsJudgedMin = 500;
constexpr absl::Duration kReadEvery = absl::Seconds(1);  // what a slow watcher that does read takes for an event

void Configure(TestServer& server, int64_t steps) {
  server.Write("tester.yaml", "name: tester\nmodel: script\ntools: [calculator]\nlimits: {max_steps: 10000, max_tool_calls: 10000, max_tokens: 1000000000}\n");
  server.Write("script.json", absl::StrCat(R"({"rules": [
    {"input_contains": "", "steps": [{"repeat": )",
                                           steps, R"(, "calls": [{"tool": "calculator", "arguments": {"expression": "{step}+1"}}]}, {"text": [")",
                                           std::string(200, 'x'), R"("]}]}]})"));
}

class WatchersTest : public ::testing::Test {
 protected:
  std::vector<std::string> Submit(const Stubs& stubs, const std::string& text, int64_t count) {
    std::vector<std::string> names;
    for (int64_t i = 0; i < count; ++i) {
      const auto run = Create(stubs, testing::Submit(text));
      EXPECT_TRUE(run.ok()) << run.status();
      if (!run.ok()) break;
      names.push_back(run->name());
    }
    return names;
  }
  void AwaitAll(const Stubs& stubs, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      absl::StatusOr<v1::Run> run = AwaitStop(stubs, name);
      for (int i = 0; i < 10 && run.ok() && run->state() != v1::RUN_STATE_STOPPED; ++i) run = AwaitStop(stubs, name);
      ASSERT_TRUE(run.ok()) << run.status();
      ASSERT_EQ(run->stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << run->stop().ShortDebugString();
    }
  }

  TestServer server_;
};

// A stream that is not read, or now and then one message of it.
struct SlowWatcher {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::WatchRunResponse>> reader;
  v1::WatchRunResponse response;
  int64_t last = 0;

  // False at the end; a gap fails the test.
  bool Read() {
    if (!reader->Read(&response)) return false;
    if (response.has_event()) {
      EXPECT_EQ(response.event().sequence(), last + 1);
      last = response.event().sequence();
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
  explicit SlowReader(std::vector<std::unique_ptr<SlowWatcher>>& watchers)
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

TEST_F(WatchersTest, SlowOnesTakeABoundedBufferAndCatchUpFromTheJournal) {
  Effort effort("steps of each of 200 runs, beside 200 watchers that do not read", 150, 20);
  Configure(server_, effort.count());
  server_.Start();
  const Stubs stubs(server_.Connect());
  // The same load without watchers: what the runs themselves take, and how long.
  absl::Time begin = absl::Now();
  const std::vector<std::string> unwatched = Submit(stubs, "count", kRuns);
  AwaitAll(stubs, unwatched);
  const absl::Duration alone = absl::Now() - begin;
  Steps steps_alone;
  for (const std::string& name : unwatched) {
    for (const v1::Event& event : Watch(stubs, name).events()) steps_alone.Add(event);
  }
  const int64_t before = ResidentBytes(server_.pid());

  begin = absl::Now();
  const std::vector<std::string> names = Submit(stubs, "count", kRuns);
  std::vector<std::unique_ptr<SlowWatcher>> watchers;
  for (const std::string& name : names) {
    auto& watcher = watchers.emplace_back(std::make_unique<SlowWatcher>());
    v1::WatchRunRequest request;
    request.set_name(name);
    watcher->reader = stubs.run->WatchRun(&watcher->context, request);
  }
  // Half of them read one event a second, the others none.
  SlowReader reader(watchers);
  AwaitAll(stubs, names);
  const absl::Duration beside = absl::Now() - begin;
  const int slowly_read = reader.End();
  const int64_t growth = ResidentBytes(server_.pid()) - before;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (const auto& watcher : watchers) {
    while (watcher->Read()) {
    }
    const grpc::Status status = watcher->reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    least = std::min(least, watcher->last);
  }
  Steps steps_beside;
  for (const std::string& name : names) {
    for (const v1::Event& event : Watch(stubs, name).events()) steps_beside.Add(event);
  }
  const double slowdown = steps_beside.Percentile(0.99) / steps_alone.Percentile(0.99);
  effort.Figure("events of a journal", static_cast<double>(least));
  effort.Figure("events that a slow watcher read beside the runs", slowly_read);
  effort.Figure("step p50 without watchers, ms", steps_alone.Percentile(0.5));
  effort.Figure("step p99 without watchers, ms", steps_alone.Percentile(0.99));
  effort.Figure("step p50 with them, ms", steps_beside.Percentile(0.5));
  effort.Figure("step p99 with them, ms", steps_beside.Percentile(0.99));
  effort.Figure("p99 with them by p99 without", slowdown);
  effort.Figure("seconds without watchers", absl::ToDoubleSeconds(alone));
  effort.Figure("seconds with them", absl::ToDoubleSeconds(beside));
  effort.Figure("growth MiB", static_cast<double>(growth) / (1 << 20));
  EXPECT_GT(least, 3 * effort.count());
  if (Release() && effort.count() >= kStepsJudgedMin) EXPECT_LE(slowdown, kSlowdownMax);
  if (Release()) EXPECT_LE(growth, kGrowthMax);
}

}  // namespace
}  // namespace agentruntime::testing
