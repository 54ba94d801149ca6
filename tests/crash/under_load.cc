#include "tests/crash/under_load.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/crash/load_server.h"
#include "tests/crash/power_cut.h"

namespace agentruntime::testing {
namespace {

constexpr int kRunsAtOnce = 200;
constexpr int kOpenWanted = 190;  // runs under way that each kill waits for: the others have just ended, or are on their way to the server
constexpr int kOpenMin = 180;     // some end between the look and the blow
constexpr int kCallers = 8;       // a run makes some fifty commits, one after the other, and its submit one: four at once replace what ends
constexpr int kSteps = 16;
constexpr int kCalls = 12 + 4 * 3;    // of a run: see WishesOf
constexpr int kAcknowledgedMin = 20;  // steps between two kills
constexpr int kChannels = 4;
constexpr size_t kReplayedMin = 400;  // runs that are read again from the beginning at the end, and all that a kill met
constexpr uint64_t kLifeMs = 150;     // at most, from the moment it serves, if 20 steps are acknowledged by then
constexpr absl::Duration kLifeMax = absl::Seconds(60);
constexpr absl::Duration kEndMax = absl::Seconds(30);      // after the last fault
constexpr absl::Duration kEndBusyMax = absl::Seconds(90);  // beside other tests, or under a sanitizer

}  // namespace

UnderLoad::UnderLoad() : provider_(kSteps, absl::Milliseconds(1), WishesOf, /*spread=*/absl::Milliseconds(80)), witness_(absl::Milliseconds(10)) {
  WriteLoadConfig(server_, provider_.base_url(), witness_.tools());
  witness_.AskWhetherSettled([this](const std::string& key) { return followers_.Settled(key); });
  provider_.Listen([this, again = again_](const std::string& run, int step) {
    if (!followers_.Knows(run, step)) return;
    MutexLock lock(again->mu);
    again->steps.push_back(absl::StrCat(run, " step ", step));
  });
}

// One call in most steps, by turns of each side effect; all three at once in every fourth.
std::vector<Wish> UnderLoad::WishesOf(const std::string& run, int step, int time) {
  const std::string arguments = absl::StrCat(R"({"run":")", run, R"(","step":)", step, R"(,"asked":)", time, "}");
  const std::vector<Wish> all = {{"look", arguments}, {"note", arguments}, {"charge", arguments}};
  return step % 4 == 0 ? all : std::vector<Wish>{all[static_cast<size_t>(step % 3)]};
}

void UnderLoad::Start() {
  server_.Start();
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < kChannels; ++i) channels.push_back(server_.Connect());
  stubs_.emplace(channels[0]);
  followers_.Connect(channels);
}

int UnderLoad::Submitted() {
  MutexLock lock(mu_);
  return next_ - 1;
}

bool UnderLoad::Submit(int number) {
  const std::string input = absl::StrCat("job-", number);
  v1::CreateRunRequest request = testing::Submit(input, input);
  const auto run = Call(stubs_->run, &v1::RunService::Stub::CreateRun, request);
  if (!run.ok()) return false;
  {
    MutexLock lock(mu_);
    const auto [known, fresh] = names_.try_emplace(number, run->name());
    EXPECT_EQ(known->second, run->name()) << "a repeated submit of " << input << " is another run";
  }
  followers_.Follow(run->name(), input);
  return true;
}

std::optional<int> UnderLoad::Take() {
  const int open = followers_.open();
  MutexLock lock(mu_);
  if (open + on_their_way_ >= kRunsAtOnce) return std::nullopt;
  ++on_their_way_;
  if (unheard_.empty()) return next_++;
  return unheard_.extract(unheard_.begin()).value();
}

void UnderLoad::Load(const std::atomic<bool>& struck) {
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      while (!struck) {
        const std::optional<int> number = Take();
        if (!number) {
          absl::SleepFor(absl::Milliseconds(1));
          continue;
        }
        const bool heard = Submit(*number);
        MutexLock lock(mu_);
        --on_their_way_;
        if (heard) continue;
        unheard_.insert(*number);
        return;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

void UnderLoad::ExpectWhole(const std::string& name, const std::string& input, const std::vector<v1::Event>& journal,
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
  EXPECT_EQ(settled.size(), static_cast<size_t>(kCalls));
  for (const auto& [call, times] : settled) EXPECT_EQ(times, 1) << "call " << call;
  for (int step = 1; step <= kSteps + 1; ++step) {
    const auto requests = asked.find({input, step});
    ASSERT_NE(requests, asked.end()) << "step " << step << " was never asked for";
    EXPECT_LE(requests->second, intended[step]) << "requests for step " << step << " without a durable intent";
  }
  EXPECT_EQ(witness_.Judge(input, journal), "");
}

void UnderLoad::LiveThrough(Effort& effort, const Blow& blow) {
  Random random(effort.seed());
  std::vector<double> back_ms;  // from the start of the process to the first step that somebody saw
  std::vector<int> open_at_kill;
  std::set<std::string> met;  // runs that were under way at a kill
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int64_t kill = 0; kill < effort.count(); ++kill) {
    const absl::Time started = absl::Now();
    const int64_t before = followers_.decisions();
    Start();
    ASSERT_FALSE(HasFailure());
    // A submit that was acknowledged before is the same run, whatever became of it.
    const int submitted = Submitted();
    for (int i = 0; i < 2 && submitted > 0; ++i) ASSERT_TRUE(Submit(1 + static_cast<int>(Below(random, static_cast<uint64_t>(submitted)))));
    const auto life = absl::Milliseconds(static_cast<int64_t>(Below(random, kLifeMs)));
    std::atomic<bool> struck = false;
    absl::Time first_step;
    std::thread killer([&] {
      const absl::Time serving = absl::Now();
      while (followers_.decisions() <= before && absl::Now() < serving + kLifeMax) followers_.AwaitChange(before, 0, absl::Milliseconds(1));
      first_step = absl::Now();
      const auto ready = [&] {
        return followers_.decisions() >= before + kAcknowledgedMin && followers_.open() >= kOpenWanted && absl::Now() >= serving + life;
      };
      while (!ready() && absl::Now() < serving + kLifeMax) followers_.AwaitChange(followers_.decisions(), 0, absl::Milliseconds(1));
      open_at_kill.push_back(followers_.open());
      met.merge(followers_.open_names());
      blow.strike();
      struck = true;
    });
    Load(struck);
    killer.join();
    followers_.AwaitGone();
    witness_.AwaitQuiet();
    blow.look();
    const int64_t acknowledged = followers_.decisions() - before;
    ASSERT_GE(acknowledged, kAcknowledgedMin) << "kill " << kill << "\n" << server_.Log();
    least = std::min(least, acknowledged);
    back_ms.push_back(absl::ToDoubleMilliseconds(first_step - started));
    ASSERT_EQ(followers_.faults(), "");
    ASSERT_EQ(witness_.faults(), "");
  }

  // No more faults: every run comes to its end.
  Start();
  const absl::Time healed = absl::Now();
  for (int number = Submitted(); number > 0; --number) ASSERT_TRUE(Submit(number));
  const absl::Time until = healed + (effort.leniency() > 1 ? kEndBusyMax : kEndMax);
  while (followers_.open() > 0 && absl::Now() < until) followers_.AwaitChange(followers_.decisions(), followers_.open(), absl::Milliseconds(50));
  const absl::Duration ended_after = absl::Now() - healed;
  EXPECT_EQ(followers_.open(), 0) << "runs have not come to an end";
  EXPECT_EQ(followers_.faults(), "");
  EXPECT_EQ(witness_.faults(), "");
  {
    MutexLock lock(again_->mu);
    EXPECT_THAT(again_->steps, ::testing::IsEmpty()) << "asked for although the decision had been acknowledged";
  }
  const auto asked = provider_.asked();
  const auto inputs = followers_.inputs();
  const auto journals = followers_.journals();
  std::set<std::string> replayed = met;
  std::vector<std::string> others;
  for (const auto& [name, journal] : journals) {
    if (!met.contains(name)) others.push_back(name);
  }
  while (replayed.size() < kReplayedMin && !others.empty()) {
    std::swap(others[Below(random, others.size())], others.back());
    replayed.insert(others.back());
    others.pop_back();
  }
  int64_t events = 0, more_than_once = 0;
  for (const auto& [name, journal] : journals) {
    ExpectWhole(name, inputs.at(name), journal, asked);
    events += static_cast<int64_t>(journal.size());
    if (!replayed.contains(name)) continue;
    // What is there now is what everybody was told.
    const Watched now = Watch(*stubs_, name);
    ASSERT_EQ(now.events().size(), journal.size()) << name;
    for (size_t i = 0; i < journal.size(); ++i) ASSERT_EQ(now.events()[i].SerializeAsString(), journal[i].SerializeAsString()) << name << ", event " << i + 1;
  }
  for (const auto& [step, times] : asked) more_than_once += times > 1 ? 1 : 0;
  EXPECT_EQ(witness_.unjudged(), 0) << "executed without a durable intent in any run";
  const Witness::Counts calls = witness_.counts();
  std::sort(back_ms.begin(), back_ms.end());
  std::sort(open_at_kill.begin(), open_at_kill.end());
  effort.Figure("runs", static_cast<double>(journals.size()));
  effort.Figure("acknowledged steps", static_cast<double>(followers_.decisions()));
  effort.Figure("acknowledged events", static_cast<double>(events));
  effort.Figure("fewest acknowledged steps of a cycle", static_cast<double>(least));
  effort.Figure("runs under way at a kill, p50", open_at_kill[open_at_kill.size() / 2]);
  effort.Figure("fewest runs under way at a kill", open_at_kill.front());
  effort.Figure("runs that a kill met", static_cast<double>(met.size()));
  effort.Figure("runs read again", static_cast<double>(replayed.size()));
  effort.Figure("seconds from the last fault to the last end", absl::ToDoubleSeconds(ended_after));
  effort.Figure("steps that were in flight at a kill and asked for again", static_cast<double>(more_than_once));
  effort.Figure("executions of tools", static_cast<double>(calls.executions));
  effort.Figure("calls that a kill met and that were executed again", static_cast<double>(calls.repeated));
  effort.Figure("unsafe calls that a kill met", static_cast<double>(calls.interrupted_unsafe));
  effort.Figure("calls turned away", static_cast<double>(calls.turned_away));
  effort.Figure("uncertain calls", static_cast<double>(calls.uncertain));
  effort.Figure("start to first step, p50 ms", back_ms[back_ms.size() / 2]);
  effort.Figure("start to first step, p99 ms", back_ms[back_ms.size() * 99 / 100]);
  EXPECT_GE(open_at_kill[open_at_kill.size() / 2], kOpenMin);
  EXPECT_GE(open_at_kill.front(), kOpenMin / 2) << "a machine that others use delays one kill or another";
  EXPECT_GE(more_than_once, effort.count()) << "a kill that interrupts nothing shows nothing";
  EXPECT_GE(calls.repeated, effort.count() / 2) << "a kill that no repeatable call met shows nothing";
  EXPECT_GE(calls.interrupted_unsafe, effort.count() / 2) << "a kill that no unsafe call met shows nothing";
  stubs_.reset();
  server_.Kill();
}

}  // namespace agentruntime::testing
