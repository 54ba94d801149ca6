#include <time.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/bench/agentd.h"
#include "tests/bench/calls.h"
#include "tests/bench/workloads.h"

namespace agentruntime::bench {
namespace {

constexpr int kConnections = 4;
constexpr int kWarmUpRuns = 3'000;  // what a server takes once, such as the page cache, is no run's
constexpr double kRunBytesMax = 8 << 10;
constexpr double kOverIdealMax = 1.2;
const char kManyRuns[] = "running_max: 200_000, queued_max: 200_000";
const char kLongTimeout[] = "limits: {defaults: {timeout: 1h}}\n";
const char kInput[] = "Take your time.";

bool None(const v1::ServerInfo& info) { return info.runs().queued() + info.runs().running() == 0; }

// Of this process, which makes the calls.
absl::Duration OwnCpuTime() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

// `runs` runs at once, each of which waits `steps` times for `delay`. Beside two floors: the waits, as if nothing else took any time, and what the cores need
// for the work. The target holds against the waits alone: the work is ours, and the more of it there is the worse.
void Measure(const Setting& setting, Report& report, int runs, int steps, absl::Duration delay, bool has_target) {
  const std::string wait = absl::FormatDuration(delay);
  std::string waits = absl::StrCat(R"({"delay": ")", wait, R"(", "text": "Done."})");
  if (steps > 1) {
    waits = absl::StrCat(R"({"repeat": )", steps - 1, R"(, "delay": ")", wait, R"(", "calls": [{"tool": "tool", "arguments": {"expression": "6*{step}"}}]}, )",
                         waits);
  }
  const auto server =
      StartAgentd({.program = setting.agentd(),
                   .folder = setting.Folder(absl::StrCat("flight.", runs, ".", wait)),
                   .script = absl::StrCat(R"({"rules": [{"input_contains": "warm-up", "steps": [{"text": "Done."}]}, {"steps": [)", waits, "]}]}"),
                   .sessions = kManyRuns,
                   .more_settings = kLongTimeout});
  const Admin admin(server->address());
  const Stubs stubs = Connect(server->address(), kConnections);
  CreateRuns(stubs, kWarmUpRuns, [](int) { return "warm-up"; });
  admin.Await("every run has ended", absl::Seconds(60), None);
  const absl::Duration cpu_before = server->CpuTime() + OwnCpuTime();
  const absl::Time began = absl::Now();
  CreateRuns(stubs, runs, [](int) { return kInput; });
  const absl::Duration created = absl::Now() - began;
  admin.Await("every run has ended", 10 * steps * delay + absl::Seconds(60), None);
  const absl::Duration total = absl::Now() - began;
  const absl::Duration work = (server->CpuTime() + OwnCpuTime() - cpu_before) / std::max<int64_t>(1, std::thread::hardware_concurrency());

  const std::string name = absl::StrCat("in_flight.", runs);
  const std::string waited = absl::StrCat(steps, "_waits_of_", wait);
  const std::string total_name = absl::StrCat(name, ".total_", waited);
  report.Add({.name = absl::StrCat(name, ".submit_", waited), .value = absl::ToDoubleSeconds(created), .unit = "s"});
  const absl::Duration waits_alone = steps * delay;
  Row took{.name = total_name, .value = absl::ToDoubleSeconds(total), .unit = "s", .floor = absl::ToDoubleSeconds(waits_alone)};
  if (has_target) {
    took.target = "finished within 1.2 times the ideal, which is nothing but the waits";
    took.met = total <= kOverIdealMax * waits_alone;
  }
  report.Add(std::move(took));
  report.Add({.name = total_name + ".by_work", .value = absl::ToDoubleSeconds(total), .unit = "s", .floor = absl::ToDoubleSeconds(work)});
  report.Add({.name = absl::StrCat(name, ".cpu_", waited), .value = absl::ToDoubleMicroseconds(server->CpuTime()) / runs / steps, .unit = "us/step"});
}

// What the runs wait for that are weighed.
struct Waiting {
  const char* row;
  const char* sessions;  // of the server's settings
  absl::Duration start_in;
  std::function<bool(const v1::ServerInfo&, int runs)> all_wait;
};

const Waiting kWaitings[] = {
    {"memory", kManyRuns, absl::ZeroDuration(), [](const v1::ServerInfo& info, int runs) { return info.sessions() == runs; }},
    {"memory_until_start", kManyRuns, absl::Hours(1), [](const v1::ServerInfo& info, int runs) { return info.runs().queued() == runs; }},
    {"memory_in_queue", "running_max: 1, queued_max: 200_000", absl::ZeroDuration(),
     [](const v1::ServerInfo& info, int runs) { return info.runs().running() == 1 && info.runs().queued() == runs - 1; }},
};

// What a run weighs that waits for its first decision, for its time or for its turn, whatever becomes of it.
void Memory(const Setting& setting, Report& report, int runs, const Waiting& waiting) {
  const auto server =
      StartAgentd({.program = setting.agentd(),
                   .folder = setting.Folder(absl::StrCat(waiting.row, ".", runs)),
                   .script = R"({"rules": [{"input_contains": "warm-up", "steps": [{"text": "Done."}]}, {"steps": [{"delay": "1h", "text": "Done."}]}]})",
                   .sessions = waiting.sessions,
                   .more_settings = kLongTimeout});
  const Admin admin(server->address());
  const Stubs stubs = Connect(server->address(), kConnections);
  CreateRuns(stubs, kWarmUpRuns, [](int) { return "warm-up"; });
  admin.Await("every run has ended", absl::Seconds(60), None);
  const auto before = static_cast<double>(server->RssBytes());
  CreateRuns(stubs, runs, [](int) { return kInput; }, absl::ZeroDuration(), waiting.start_in);
  admin.Await("every run waits", absl::Seconds(60), [&](const v1::ServerInfo& info) { return waiting.all_wait(info, runs); });
  const double each = (static_cast<double>(server->RssBytes()) - before) / runs;
  report.Add({.name = absl::StrCat("in_flight.", runs, ".", waiting.row),
              .value = each,
              .unit = "bytes/run",
              .target = "under 8 KiB resident for each run that waits, its messages included",
              .met = each < kRunBytesMax});
  server->Kill();
}

}  // namespace

void InFlight(const Setting& setting, Report& report) {
  for (const Waiting& waiting : kWaitings) Memory(setting, report, setting.quick ? 10'000 : 100'000, waiting);
  Measure(setting, report, 1'000, setting.quick ? 5 : 10, absl::Seconds(1), false);
  Measure(setting, report, 10'000, 10, absl::Seconds(1), true);
  if (setting.quick) return;
  Measure(setting, report, 100'000, 1, absl::Seconds(1), false);
  Measure(setting, report, 100'000, 1, absl::Seconds(60), false);
}

}  // namespace agentruntime::bench
