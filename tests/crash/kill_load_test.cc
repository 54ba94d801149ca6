// kill -9 of the real server at random moments, under a load of 200 runs at once.
//
// Witnesses outside of the server: the model's provider counts each request by run and step, and clients keep every event that they were told. Between two
// kills at least 20 steps are acknowledged. Never may an acknowledged event be missing or different afterwards, a step whose decision anybody saw be asked
// for again, a request leave without a durable intent, or a run not come to its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/crash/effort.h"
#include "tests/crash/followers.h"
#include "tests/crash/power_cut.h"
#include "tests/crash/provider.h"
#include "tests/support/calls.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {
namespace {

constexpr int kRunsAtOnce = 200;
constexpr int kSteps = 8;
constexpr int kAcknowledgedMin = 20;  // steps between two kills
constexpr int kChannels = 4;
constexpr int kReplayedMax = 400;  // runs that are read again from the beginning at the end
constexpr absl::Duration kLifeMax = absl::Seconds(60);
constexpr absl::Duration kEndMax = absl::Seconds(120);

class KillLoadTest : public ::testing::Test {
 protected:
  KillLoadTest() {
    server_.Write("agentd.yaml", absl::StrCat(R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
sessions: {threads: 2}
models: [{name: provider, openai: {base_url: ")",
                                              provider_.base_url(), R"(", model: m}}]
tools: [{name: calculator, calculator: {}}]
agents: [tester.yaml]
)"));
    server_.Write("tester.yaml", "name: tester\nmodel: provider\ntools: [calculator]\nlimits: {max_steps: 50}\n");
    provider_.Listen([this](const std::string& run, int step) {
      if (!followers_.Knows(run, step)) return;
      MutexLock lock(mu_);
      again_.push_back(absl::StrCat(run, " step ", step));
    });
  }

  void Start() {
    server_.Start();
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    for (int i = 0; i < kChannels; ++i) channels.push_back(server_.Connect());
    stubs_.emplace(channels[0]);
    followers_.Connect(channels);
  }

  // Submits run `number`, which may have been submitted before. False: not acknowledged.
  bool Submit(int number) {
    const std::string input = absl::StrCat("job-", number);
    v1::CreateRunRequest request = testing::Submit(input, input);
    const auto run = Call(stubs_->run, &v1::RunService::Stub::CreateRun, request);
    if (!run.ok()) return false;
    const auto [known, fresh] = names_.try_emplace(number, run->name());
    EXPECT_EQ(known->second, run->name()) << "a repeated submit of " << input << " is another run";
    followers_.Follow(run->name(), input);
    return true;
  }

  // Keeps 200 runs under way until the killer has struck.
  void Load(const std::atomic<bool>& struck) {
    while (!struck) {
      const int open = followers_.open();
      if (open >= kRunsAtOnce) {
        followers_.AwaitChange(followers_.decisions(), open, absl::Milliseconds(2));
        continue;
      }
      if (!Submit(next_)) return;
      ++next_;
    }
  }

  void ExpectWhole(const std::string& name, const std::string& input, const std::vector<v1::Event>& journal,
                   const std::map<std::pair<std::string, int>, int>& asked) {
    SCOPED_TRACE(absl::StrCat(name, ", ", input));
    std::map<int, int> decided, intended;
    std::map<std::string, int> settled;
    for (const v1::Event& event : journal) {
      if (event.has_decision_made()) ++decided[event.step()];
      if (event.has_model_called()) ++intended[event.step()];
      if (event.has_call_finished()) ++settled[event.call_finished().call_id()];
    }
    ASSERT_FALSE(journal.empty());
    EXPECT_EQ(journal.back().run_stopped().stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << journal.back().ShortDebugString();
    EXPECT_EQ(decided.size(), kSteps + 1u);
    for (const auto& [step, times] : decided) EXPECT_EQ(times, 1) << "decisions of step " << step;
    EXPECT_EQ(settled.size(), static_cast<size_t>(kSteps));
    for (const auto& [call, times] : settled) EXPECT_EQ(times, 1) << "call " << call;
    for (int step = 1; step <= kSteps + 1; ++step) {
      const auto requests = asked.find({input, step});
      ASSERT_NE(requests, asked.end()) << "step " << step << " was never asked for";
      EXPECT_LE(requests->second, intended[step]) << "requests for step " << step << " without a durable intent";
    }
  }

  Provider provider_{kSteps, absl::Milliseconds(15)};
  TestServer server_;
  std::optional<Stubs> stubs_;
  Followers followers_;
  int next_ = 1;
  std::map<int, std::string> names_;  // acknowledged submits
  Mutex mu_;
  std::vector<std::string> again_ ABSL_GUARDED_BY(mu_);  // asked for although the decision had been seen
};

TEST_F(KillLoadTest, NothingAcknowledgedIsLostAndNothingDecidedIsAskedAgain) {
  Effort effort("kills", 200, 10);
  Random random(effort.seed());
  std::vector<double> back_ms;  // from the start of the process to the first step that somebody saw
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int64_t kill = 0; kill < effort.count(); ++kill) {
    const absl::Time started = absl::Now();
    const int64_t before = followers_.decisions();
    Start();
    ASSERT_FALSE(HasFailure());
    // A submit that was acknowledged before is the same run, whatever became of it.
    for (int i = 0; i < 2 && next_ > 1; ++i) ASSERT_TRUE(Submit(1 + static_cast<int>(Below(random, static_cast<uint64_t>(next_ - 1)))));
    const auto life = absl::Milliseconds(static_cast<int64_t>(Below(random, 300)));
    std::atomic<bool> struck = false;
    absl::Time first_step;
    std::thread killer([&] {
      const absl::Time serving = absl::Now();
      while (followers_.decisions() <= before && absl::Now() < serving + kLifeMax) followers_.AwaitChange(before, 0, absl::Milliseconds(1));
      first_step = absl::Now();
      while ((followers_.decisions() < before + kAcknowledgedMin || absl::Now() < serving + life) && absl::Now() < serving + kLifeMax) {
        followers_.AwaitChange(followers_.decisions(), 0, absl::Milliseconds(1));
      }
      server_.Kill();
      struck = true;
    });
    Load(struck);
    killer.join();
    followers_.AwaitGone();
    const int64_t acknowledged = followers_.decisions() - before;
    ASSERT_GE(acknowledged, kAcknowledgedMin) << "kill " << kill << "\n" << server_.Log();
    least = std::min(least, acknowledged);
    back_ms.push_back(absl::ToDoubleMilliseconds(first_step - started));
    ASSERT_EQ(followers_.faults(), "");
  }

  // No more faults: every run comes to its end.
  Start();
  for (int number = 1; number <= next_; ++number) ASSERT_TRUE(Submit(number));
  const absl::Time until = absl::Now() + kEndMax;
  while (followers_.open() > 0 && absl::Now() < until) followers_.AwaitChange(followers_.decisions(), followers_.open(), absl::Milliseconds(50));
  EXPECT_EQ(followers_.open(), 0) << "runs have not come to an end";
  EXPECT_EQ(followers_.faults(), "");
  {
    MutexLock lock(mu_);
    EXPECT_THAT(again_, ::testing::IsEmpty()) << "asked for although the decision had been acknowledged";
  }
  const auto asked = provider_.asked();
  const auto inputs = followers_.inputs();
  const auto journals = followers_.journals();
  int64_t events = 0, more_than_once = 0, replayed = 0;
  for (const auto& [name, journal] : journals) {
    ExpectWhole(name, inputs.at(name), journal, asked);
    events += static_cast<int64_t>(journal.size());
    if (replayed++ >= kReplayedMax) continue;
    // What is there now is what everybody was told.
    const Watched now = Watch(*stubs_, name);
    ASSERT_EQ(now.events().size(), journal.size()) << name;
    for (size_t i = 0; i < journal.size(); ++i) ASSERT_EQ(now.events()[i].SerializeAsString(), journal[i].SerializeAsString()) << name << ", event " << i + 1;
  }
  for (const auto& [step, times] : asked) more_than_once += times > 1 ? 1 : 0;
  std::sort(back_ms.begin(), back_ms.end());
  effort.Figure("runs", static_cast<double>(journals.size()));
  effort.Figure("acknowledged steps", static_cast<double>(followers_.decisions()));
  effort.Figure("acknowledged events", static_cast<double>(events));
  effort.Figure("fewest acknowledged steps of a cycle", static_cast<double>(least));
  effort.Figure("steps that were in flight at a kill and asked for again", static_cast<double>(more_than_once));
  effort.Figure("start to first step, p50 ms", back_ms[back_ms.size() / 2]);
  effort.Figure("start to first step, p99 ms", back_ms[back_ms.size() * 99 / 100]);
  EXPECT_GE(more_than_once, effort.count()) << "a kill that interrupts nothing shows nothing";
  stubs_.reset();
  server_.Kill();
}

}  // namespace
}  // namespace agentruntime::testing
