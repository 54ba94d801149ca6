// kill -9 with ten thousand unfinished runs, then a start: it serves at once, and takes all of them up, oldest first.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <tuple>
#include <vector>

#include "absl/time/clock.h"
#include "proto/util/time.h"
#include "runtime/scheduler.h"
#include "tests/crash/effort.h"
#include "tests/support/call_all.h"
#include "tests/support/calls.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {
namespace {

constexpr absl::Duration kServingMax = absl::Seconds(1);
constexpr absl::Duration kTakenUpP99Max = absl::Seconds(2);
constexpr absl::Duration kHangMax = absl::Seconds(120);
constexpr absl::Duration kAskInterval = absl::Milliseconds(5);
// So many may be under way at once between the queue and their first event; a thread that the machine held up displaces its one run further. Held with the
// leniency of a figure of time, since it is one.
constexpr int64_t kDisplacedMax = 4 * kLoadsMax;
constexpr double kDisplacedShare = 0.99;

struct TakenUp {
  size_t age = 0;  // 0: the oldest run
  absl::Time time;
};

class RecoveryTest : public ::testing::Test {
 protected:
  RecoveryTest() {
    server_.Write("agentd.yaml", R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
sessions: {threads: 2, running_max: 20_000, queued_max: 20_000}
models: [{name: script, scripted: {file: script.json}}]
tools: [{name: calculator, calculator: {}}]
agents: [tester.yaml]
)");
  }

  static std::vector<std::string> CreateRuns(const Stubs& stubs, int64_t count) {
    const std::vector<v1::CreateRunRequest> requests(static_cast<size_t>(count), Submit("hang"));
    std::vector<std::string> names;
    for (const auto& run : CallAll<v1::Run>(requests, [&](auto... call) { stubs.run->async()->CreateRun(call...); })) {
      EXPECT_TRUE(run.ok()) << run.status();
      if (run.ok()) names.push_back(run->name());
    }
    std::sort(names.begin(), names.end());  // ids are ordered by their time
    return names;
  }

  // By the second server. Waits for each of them. Times are the events' own, and who asks for ten thousand journals while they are made takes the cores away
  // from what is timed: so the server is asked for one number until all have a session, and for the journals then.
  static std::vector<TakenUp> AwaitTakenUp(const Stubs& stubs, const std::vector<std::string>& names) {
    std::vector<TakenUp> found;
    for (const absl::Time until = absl::Now() + kHangMax;; absl::SleepFor(kAskInterval)) {
      const auto info = Call(stubs.admin, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest());
      EXPECT_TRUE(info.ok()) << info.status();
      if (!info.ok() || absl::Now() > until) return found;
      if (info->sessions() >= static_cast<int64_t>(names.size())) break;
    }
    // The last of the events may not be durable yet.
    std::vector<size_t> missing(names.size());
    for (size_t i = 0; i < missing.size(); ++i) missing[i] = i;
    for (const absl::Time until = absl::Now() + kHangMax; !missing.empty() && absl::Now() < until;) {
      std::vector<v1::ListEventsRequest> requests(missing.size());
      for (size_t i = 0; i < missing.size(); ++i) requests[i].set_parent(names[missing[i]]);
      const auto pages = CallAll<v1::ListEventsResponse>(requests, [&](auto... call) { stubs.run->async()->ListEvents(call...); });
      std::vector<size_t> still;
      for (size_t i = 0; i < pages.size(); ++i) {
        EXPECT_TRUE(pages[i].ok()) << pages[i].status();
        if (!pages[i].ok()) return found;
        const auto& events = pages[i]->events();
        const auto start = std::find_if(events.begin(), events.end(), [](const v1::Event& event) { return event.has_run_started() && event.epoch() > 1; });
        if (start == events.end()) {
          still.push_back(missing[i]);
        } else {
          found.push_back({missing[i], FromProto(start->time())});
        }
      }
      missing = std::move(still);
    }
    return found;
  }

  TestServer server_;
};

TEST_F(RecoveryTest, TenThousandRunsAreTakenUpOldestFirst) {
  Effort effort("unfinished runs", 10'000, 1'000);
  server_.Start();
  const std::vector<std::string> names = CreateRuns(Stubs(server_.Connect()), effort.count());
  ASSERT_EQ(static_cast<int64_t>(names.size()), effort.count());
  server_.Kill();

  const absl::Time began = absl::Now();
  server_.Start();
  const Stubs stubs(server_.Connect());
  ASSERT_TRUE(Call(stubs.admin, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest()).ok());
  const absl::Duration serving = absl::Now() - began;
  std::vector<TakenUp> taken = AwaitTakenUp(stubs, names);
  ASSERT_EQ(taken.size(), names.size()) << "runs that are not taken up again";
  std::sort(taken.begin(), taken.end(), [](const TakenUp& a, const TakenUp& b) { return std::tie(a.time, a.age) < std::tie(b.time, b.age); });
  std::vector<int64_t> displaced;
  for (size_t i = 0; i < taken.size(); ++i) displaced.push_back(std::abs(static_cast<int64_t>(taken[i].age) - static_cast<int64_t>(i)));
  std::sort(displaced.begin(), displaced.end());
  const int64_t displaced_p99 = displaced[static_cast<size_t>(kDisplacedShare * static_cast<double>(displaced.size() - 1))];
  const absl::Duration p99 = taken[static_cast<size_t>(0.99 * static_cast<double>(taken.size() - 1))].time - began;
  effort.Figure("seconds to the first answer", absl::ToDoubleSeconds(serving));
  effort.Figure("seconds to the start of 99 of 100 runs", absl::ToDoubleSeconds(p99));
  effort.Figure("seconds to the last", absl::ToDoubleSeconds(taken.back().time - began));
  effort.Figure("places from their age, of 99 of 100 runs", static_cast<double>(displaced_p99));
  EXPECT_LE(serving, kServingMax * effort.leniency());
  EXPECT_LE(p99, kTakenUpP99Max * effort.leniency());
  EXPECT_LE(static_cast<double>(displaced_p99), kDisplacedMax * effort.leniency());
}

}  // namespace
}  // namespace agentruntime::testing
