#include <algorithm>

#include "absl/time/clock.h"
#include "tests/bench/agentd.h"
#include "tests/bench/calls.h"
#include "tests/bench/fail.h"
#include "tests/bench/workloads.h"

namespace agentruntime::bench {
namespace {

constexpr int kRuns = 10'000;
constexpr int kConnections = 4;
constexpr absl::Duration kRecoveryMax = absl::Minutes(2);

// By the second server: its epoch is the store's second.
bool TakenUpAgain(v1::RunService::Stub& stub, const std::string& run) {
  const std::vector<v1::Event> events = EventsOf(stub, run);
  return std::any_of(events.begin(), events.end(), [](const v1::Event& event) { return event.has_run_started() && event.epoch() > 1; });
}

}  // namespace

void Recovery(const Setting& setting, Report& report) {
  const AgentdOptions options{.program = setting.agentd(),
                              .folder = setting.Folder("recovery"),
                              .script = R"({"steps": [{"delay": "1h", "text": "Late."}]})",
                              .sessions = "running_max: 20_000"};
  std::vector<std::string> names;
  {
    const auto server = StartAgentd(options);
    names = CreateRuns(Connect(server->address(), kConnections), kRuns, [](int) { return "Take your time."; });
    server->Kill();
  }
  const auto server = StartAgentd(options);
  const Admin admin(server->address());
  admin.Info();
  const absl::Duration serving = absl::Now() - server->start_time();
  admin.Await("all runs have a session", kRecoveryMax, [](const v1::ServerInfo& info) { return info.sessions() >= kRuns; });
  const Stubs stubs = Connect(server->address(), 1);
  while (!TakenUpAgain(*stubs[0], names.back())) {
    if (absl::Now() - server->start_time() > kRecoveryMax) Fail("the newest run is not taken up again");
    absl::SleepFor(absl::Milliseconds(5));
  }
  const absl::Duration all = absl::Now() - server->start_time();
  report.Add({.name = "recovery.10000.serving",
              .value = absl::ToDoubleMilliseconds(serving),
              .unit = "ms",
              .target = "within a second of a start after kill -9 with 10,000 unfinished runs",
              .met = serving <= absl::Seconds(1)});
  report.Add({.name = "recovery.10000.all_running",
              .value = absl::ToDoubleSeconds(all),
              .unit = "s",
              .target = "all of them within seconds (here: 5)",
              .met = all <= absl::Seconds(5)});
  report.Add({.name = "recovery.10000.cpu", .value = absl::ToDoubleMicroseconds(server->CpuTime()) / kRuns, .unit = "us/run"});
  server->Kill();
}

}  // namespace agentruntime::bench
