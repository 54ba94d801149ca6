// The wall clock jumps by about an hour, forward and back, while runs are under way and while the server is down; or it runs ten times as fast, or a tenth. A
// run's times never go back, its timeout counts the time that it was active and nothing else, and it comes to the same end.
#include "absl/time/clock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/util/time.h"
#include "tests/crash/effort.h"
#include "tests/crash/power_cut.h"
#include "tests/crash/shifted_clock.h"
#include "tests/support/calls.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {
namespace {

constexpr absl::Duration kJump = absl::Hours(1);
constexpr absl::Duration kShortTimeout = absl::Seconds(3);

enum class Moment { kMidRun, kWhileDown };

struct Case {
  const char* name;
  absl::Duration jump;
  Moment moment;
  bool times_out;  // the run hangs and has a short timeout; else it answers after about two seconds
  double rate = 1;
};

class ClockTest : public ::testing::TestWithParam<Case> {
 protected:
  ClockTest() {
    server_.Write("script.json", R"({"rules": [
      {"input_contains": "hang", "steps": [{"delay": "30m", "text": ["late"]}]},
      {"input_contains": "", "steps": [{"repeat": 20, "delay": "100ms", "calls": [{"tool": "calculator", "arguments": {"expression": "{step}+1"}}]},
                                       {"text": ["done"]}]}]})");
    const int file = open(server_.File("shift").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    EXPECT_EQ(ftruncate(file, sizeof(WallClock)), 0);
    wall_ = new (mmap(nullptr, sizeof(WallClock), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)) WallClock();
    close(file);
    server_.SetVariable("LD_PRELOAD", AGENTRUNTIME_SHIFTED_CLOCK);
    server_.SetVariable("SHIFTED_CLOCK_FILE", server_.File("shift"));
  }
  ~ClockTest() override { munmap(static_cast<void*>(wall_), sizeof(WallClock)); }

  TestServer server_;
  WallClock* wall_ = nullptr;
};

TEST_P(ClockTest, AJumpChangesNothing) {
  const Case& test = GetParam();
  Effort effort("case", 1, 1);
  Random random(effort.seed());
  const absl::Duration jump = test.jump * (0.5 + static_cast<double>(Below(random, 1000)) / 1000);
  wall_->since_s = absl::ToUnixSeconds(absl::Now());
  wall_->rate = test.rate;
  server_.Start();
  ASSERT_FALSE(HasFailure());
  v1::CreateRunRequest request = Submit(test.times_out ? "hang" : "count");
  *request.mutable_run()->mutable_limits()->mutable_timeout() = ToProto(test.times_out ? kShortTimeout : absl::Seconds(60));
  const absl::Time submitted = absl::Now();
  absl::Time begin = submitted;
  std::string name;
  {
    const Stubs stubs(server_.Connect());
    const auto run = Create(stubs, request);
    ASSERT_TRUE(run.ok()) << run.status();
    name = run->name();
    AwaitEvents(stubs, name, test.times_out ? 3 : 12);
  }
  if (test.moment == Moment::kWhileDown) server_.Kill();
  wall_->shift_s = absl::ToInt64Seconds(jump);
  if (test.moment == Moment::kWhileDown) {
    server_.Start();
    ASSERT_FALSE(HasFailure());
    if (test.times_out) begin = absl::Now();  // the time of the attempt that was cut off is not known; this one has all of the timeout at most
  }
  const Stubs stubs(server_.Connect());
  const Watched watched = Watch(stubs, name);
  const absl::Time end = absl::Now();
  const absl::Duration took = end - begin;
  const auto events = watched.events();
  ASSERT_FALSE(events.empty()) << watched.status;
  ASSERT_TRUE(events.back().has_run_stopped()) << events.back().ShortDebugString();
  EXPECT_EQ(events.back().run_stopped().stop().reason(), test.times_out ? v1::STOP_REASON_TIMEOUT : v1::STOP_REASON_FINAL_ANSWER)
      << events.back().ShortDebugString();
  absl::Duration widest;
  for (size_t i = 1; i < events.size(); ++i) {
    const absl::Duration step = FromProto(events[i].time()) - FromProto(events[i - 1].time());
    EXPECT_GE(step, absl::ZeroDuration()) << "event " << i + 1;
    EXPECT_GE(events[i].active_us(), events[i - 1].active_us()) << "event " << i + 1;
    widest = std::max(widest, step);
  }
  EXPECT_LT(absl::Microseconds(events.back().active_us()), absl::Seconds(30)) << "the jump was counted as active time";
  if (test.times_out) EXPECT_GE(took, test.moment == Moment::kMidRun ? kShortTimeout : absl::ZeroDuration());
  EXPECT_LT(took, absl::Seconds(30));
  // The server really saw the jump. Forward it shows between two events.
  if (jump > absl::ZeroDuration()) EXPECT_GT(widest, jump - absl::Minutes(1));
  // Back it shows in times that stand still from then on, for half a second at least.
  const absl::Duration shown = FromProto(events.back().time()) - FromProto(events.front().time());
  if (jump < absl::ZeroDuration()) EXPECT_LT(shown, end - submitted - absl::Seconds(0.5));
  if (test.rate > 1) EXPECT_GT(shown, (end - submitted) * (test.rate / 3));
  if (test.rate < 1) EXPECT_LT(shown, (end - submitted) * (test.rate * 3));
  effort.Figure("seconds", absl::ToDoubleSeconds(took));
  effort.Figure("active seconds", static_cast<double>(events.back().active_us()) / 1e6);
}

INSTANTIATE_TEST_SUITE_P(Jumps, ClockTest,
                         ::testing::Values(Case{"ForwardMidRun", kJump, Moment::kMidRun, false}, Case{"BackMidRun", -kJump, Moment::kMidRun, false},
                                           Case{"ForwardWhileDown", kJump, Moment::kWhileDown, false}, Case{"BackWhileDown", -kJump, Moment::kWhileDown, false},
                                           Case{"ForwardBeforeATimeout", kJump, Moment::kMidRun, true},
                                           Case{"BackBeforeATimeout", -kJump, Moment::kMidRun, true},
                                           Case{"ForwardWhileDownBeforeATimeout", kJump, Moment::kWhileDown, true},
                                           Case{"BackWhileDownBeforeATimeout", -kJump, Moment::kWhileDown, true},
                                           Case{"TenTimesAsFast", absl::ZeroDuration(), Moment::kMidRun, false, 10},
                                           Case{"ATenthAsFast", absl::ZeroDuration(), Moment::kMidRun, false, 0.1},
                                           Case{"TenTimesAsFastBeforeATimeout", absl::ZeroDuration(), Moment::kMidRun, true, 10},
                                           Case{"ATenthAsFastBeforeATimeout", absl::ZeroDuration(), Moment::kMidRun, true, 0.1}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace agentruntime::testing
