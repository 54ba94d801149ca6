#include <grpcpp/grpcpp.h>

#include <array>
#include <atomic>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "proto/util/time.h"
#include "tests/bench/agentd.h"
#include "tests/bench/calls.h"
#include "tests/bench/fail.h"
#include "tests/bench/workloads.h"

namespace agentruntime::bench {
namespace {

constexpr int kRuns = 1'000;
constexpr int kWatchersPerRun = 10;
constexpr int kConnections = 100;
constexpr double kLatencyMillisMax = 10;
constexpr double kWatcherBytesMax = 25 << 10;

// Counts in steps of 0.1 ms. Thread-safe.
class Histogram {
 public:
  void Add(absl::Duration latency) {
    const int64_t tenths = absl::ToInt64Microseconds(latency) / 100;
    counts_[static_cast<size_t>(std::clamp<int64_t>(tenths, 0, kBuckets - 1))].fetch_add(1, std::memory_order_relaxed);
  }
  int64_t count() const {
    int64_t all = 0;
    for (const auto& count : counts_) all += count;
    return all;
  }
  double Millis(double share) const {
    auto left = static_cast<int64_t>(share * static_cast<double>(count()));
    for (size_t i = 0; i < counts_.size(); ++i) {
      if ((left -= counts_[i]) < 0) return static_cast<double>(i + 1) / 10;
    }
    return kBuckets / 10;
  }

 private:
  static constexpr int64_t kBuckets = 50'000;
  std::array<std::atomic<int64_t>, kBuckets> counts_ = {};
};

struct Shared {
  std::atomic<bool> live = false;  // what comes from now on is measured, if it happened from now on
  std::atomic<int64_t> live_since_us = 0;
  Histogram latency;
  std::unique_ptr<absl::BlockingCounter> attached;
  std::unique_ptr<absl::BlockingCounter> ended;
};

// Follows one run to its end, checks that nothing is missing, and notes how late each event is: from the moment it was put into the journal, before the
// disk had it.
class Watcher final : public grpc::ClientReadReactor<v1::WatchRunResponse> {
 public:
  Watcher(v1::RunService::Stub& stub, const std::string& run, Shared& shared) : shared_(shared) {
    request_.set_name(run);
    stub.async()->WatchRun(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.has_event()) Take(response_.event());
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    if (!status.ok() || !stopped_) Fail(absl::StrCat("a watch of ", request_.name(), " ended at event ", last_, ": ", status.error_message()));
    shared_.ended->DecrementCount();
  }

 private:
  void Take(const v1::Event& event) {
    if (event.sequence() != last_ + 1) Fail(absl::StrCat(request_.name(), ": event ", event.sequence(), " came after ", last_));
    last_ = event.sequence();
    if (last_ == 3) shared_.attached->DecrementCount();  // it waits in its first decision
    stopped_ = event.has_run_stopped();
    const absl::Time time = FromProto(event.time());
    if (shared_.live && absl::ToUnixMicros(time) > shared_.live_since_us) shared_.latency.Add(absl::Now() - time);
  }

  Shared& shared_;
  grpc::ClientContext context_;
  v1::WatchRunRequest request_;
  v1::WatchRunResponse response_;
  int64_t last_ = 0;
  bool stopped_ = false;
};

}  // namespace

void FanOut(const Setting& setting, Report& report) {
  // Runs are submitted evenly over the pace, so that they step evenly: a step each 2 ms.
  const absl::Duration pace = absl::Seconds(2);
  const int steps = setting.quick ? 3 : 10;
  const auto server = StartAgentd({.program = setting.agentd(),
                                   .folder = setting.Folder("fan_out"),
                                   .script = absl::StrCat(R"({"steps": [{"delay": "12s", "calls": [{"tool": "tool", "arguments": {"expression": "6*{step}"}}]},
                                       {"repeat": )",
                                                          steps, R"(, "delay": "2s", "calls": [{"tool": "tool", "arguments": {"expression": "6*{step}"}}]},
                                       {"delay": "2s", "text": "Done."}]})"),
                                   .agent_settings = "limits: {max_steps: 100, max_tool_calls: 100}\n"});
  Shared shared;
  shared.attached = std::make_unique<absl::BlockingCounter>(kRuns * kWatchersPerRun);
  shared.ended = std::make_unique<absl::BlockingCounter>(kRuns * kWatchersPerRun);
  const Stubs stubs = Connect(server->address(), kConnections);
  const std::vector<std::string> names = CreateRuns({stubs}, kRuns, [](int) { return "Step by step."; }, pace / kRuns);
  const auto before = static_cast<double>(server->RssBytes());
  std::vector<std::unique_ptr<Watcher>> watchers;
  const absl::Time began = absl::Now();
  for (int i = 0; i < kRuns * kWatchersPerRun; ++i) {
    watchers.push_back(std::make_unique<Watcher>(*stubs[static_cast<size_t>(i % kConnections)], names[static_cast<size_t>(i % kRuns)], shared));
  }
  shared.attached->Wait();
  const absl::Duration attach = absl::Now() - began;
  const double each = (static_cast<double>(server->RssBytes()) - before) / (kRuns * kWatchersPerRun);
  shared.live_since_us = absl::ToUnixMicros(absl::Now());
  shared.live = true;
  const absl::Duration cpu = server->CpuTime();
  shared.ended->Wait();

  report.Add({.name = "fan_out.attach_10000", .value = absl::ToDoubleSeconds(attach), .unit = "s"});
  report.Add(
      {.name = "fan_out.memory", .value = each, .unit = "bytes", .target = "at most 25 KiB a watcher (bare gRPC takes 16.7)", .met = each <= kWatcherBytesMax});
  report.Add({.name = "fan_out.events", .value = static_cast<double>(shared.latency.count()), .unit = "events"});
  report.Add({.name = "fan_out.latency_p50", .value = shared.latency.Millis(0.5), .unit = "ms"});
  report.Add({.name = "fan_out.latency_p99",
              .value = shared.latency.Millis(0.99),
              .unit = "ms",
              .target = "under 10 ms from the journal, the sync included, to the watcher",
              .met = shared.latency.Millis(0.99) < kLatencyMillisMax});
  report.Add(
      {.name = "fan_out.cpu", .value = absl::ToDoubleMicroseconds(server->CpuTime() - cpu) / static_cast<double>(shared.latency.count()), .unit = "us/event"});
}

}  // namespace agentruntime::bench
