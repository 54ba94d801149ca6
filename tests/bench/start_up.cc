#include <grpcpp/grpcpp.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/bench/agentd.h"
#include "tests/bench/calls.h"
#include "tests/bench/statistics.h"
#include "tests/bench/workloads.h"

namespace agentruntime::bench {
namespace {

constexpr double kStartMillisMax = 150;
constexpr double kIdleMiBMax = 40;

}  // namespace

void StartUp(const Setting& setting, Report& report) {
  std::vector<double> millis;
  std::vector<double> idle;
  for (int round = 0; round < (setting.quick ? 5 : 20); ++round) {
    const std::string folder = setting.Folder(absl::StrCat("start.", round));
    const auto server = StartAgentd({.program = setting.agentd(), .folder = folder, .script = kExampleScript});
    const Admin admin(server->address());
    admin.Info();
    millis.push_back(absl::ToDoubleMilliseconds(absl::Now() - server->start_time()));
    absl::SleepFor(absl::Milliseconds(200));  // what it does after the start is done
    idle.push_back(static_cast<double>(server->RssBytes()) / (1 << 20));
  }
  report.Add({.name = "start.serving",
              .value = Median(millis),
              .unit = "ms",
              .target = "under 150 ms from the start of the process to the first answer, empty store",
              .met = Median(millis) < kStartMillisMax});
  report.Add({.name = "start.serving_p90", .value = Percentile(millis, 0.9), .unit = "ms"});
  report.Add({.name = "start.idle_memory", .value = Median(idle), .unit = "MiB", .target = "under 40 MiB resident", .met = Median(idle) < kIdleMiBMax});
}

}  // namespace agentruntime::bench
