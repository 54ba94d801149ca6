#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/bench/agentd.h"
#include "tests/bench/fdatasync.h"
#include "tests/bench/group_commit.h"
#include "tests/bench/load.h"
#include "tests/bench/recorded_run.h"
#include "tests/bench/statistics.h"
#include "tests/bench/workloads.h"

namespace agentruntime::bench {
namespace {

// Runs a second that the group commit alone makes durable, `callers` of them under way at any moment.
double CommitsPerSecond(const std::string& file, const RecordedRows& rows, int callers, absl::Duration duration) {
  GroupCommit commit(file, rows);
  const absl::Time until = absl::Now() + duration;
  // On the writer's thread only, but for the first pushes.
  int64_t runs = 0;
  int open = callers;
  absl::Notification ended;
  std::function<void()> again = [&] {
    ++runs;
    if (absl::Now() < until) return commit.Push(again);
    if (--open == 0) ended.Notify();
  };
  const absl::Time began = absl::Now();
  for (int i = 0; i < callers; ++i) commit.Push(again);
  ended.WaitForNotification();
  return static_cast<double>(runs) / absl::ToDoubleSeconds(absl::Now() - began);
}

// Figures of one number of callers in one mode, a value a round.
struct Rounds {
  std::map<std::string, std::vector<double>> values;

  void Add(const std::string& name, double value) { values[name].push_back(value); }
  void Add(const std::string& name, const LoadResult& load) {
    Add(name + ".runs", load.per_second());
    Add(name + ".p50", Median(load.milliseconds));
    Add(name + ".p99", Percentile(load.milliseconds, 0.99));
  }
  double of(const std::string& name) const { return Median(values.at(name)); }
};

class Example {
 public:
  Example(const Setting& setting, Report& report) : setting_(setting), report_(report), folder_(setting.Folder("example")) { Record(); }

  void Measure(Mode mode, const std::string& name, int callers) {
    const absl::Duration slice = absl::Seconds(setting_.quick ? 0.6 : 2);
    Rounds rounds;
    // The product and its floors take turns: what the machine does meanwhile, it does to all.
    for (int round = 0; round < (setting_.quick ? 2 : 5); ++round) {
      rounds.Add("sync", FdatasyncMillis(folder_, setting_.quick ? 50 : 200));
      rounds.Add("echo", RunLoad(echo_->address(), mode, callers, slice / 2).per_second());
      rounds.Add("commit", CommitsPerSecond(folder_ + "/commit.db", rows_, callers, slice / 2));
      rounds.Add("floor", RunLoad(floor_->address(), mode, callers, slice));
      const absl::Duration cpu = agentd_->CpuTime();
      const LoadResult load = RunLoad(agentd_->address(), mode, callers, slice);
      rounds.Add("product", load);
      rounds.Add("cpu", absl::ToDoubleMicroseconds(agentd_->CpuTime() - cpu) / static_cast<double>(load.milliseconds.size()));
    }
    Say(absl::StrCat("example.", name, ".", callers), callers, rounds);
  }

  void MeasureUnary(int callers) {
    const absl::Duration slice = absl::Seconds(setting_.quick ? 0.4 : 2);
    const LoadResult load = RunLoad(echo_->address(), Mode::kCreate, callers, slice);
    report_.Add({.name = absl::StrCat("floor.unary_echo.", callers, ".calls"), .value = load.per_second(), .unit = "calls/s"});
  }

 private:
  // The floors give back and store what a real run does.
  void Record() {
    RecordedAnswers answers;
    {
      const std::string folder = setting_.Folder("recorded");
      const auto server = StartAgentd({.program = setting_.agentd(), .folder = folder, .script = kExampleScript});
      answers = RecordAnswers(server->address());
      server->End();
      rows_ = ReadRows(folder + "/bench.db");
      WriteAnswers(answers, folder_ + "/answers");
      floor_ = StartFloor("floor", {"--store", folder_ + "/floor.db", "--rows", folder + "/bench.db"});
      echo_ = StartFloor("echo", {});
    }
    size_t streamed = 0;
    for (const std::string& message : answers.stream) streamed += message.size();
    size_t stored = 0;
    for (const auto& event : rows_.events) stored += std::get<std::vector<char>>(event[7]).size();
    report_.Add({.name = "example.messages", .value = static_cast<double>(answers.stream.size()), .unit = "messages"});
    report_.Add({.name = "example.streamed", .value = static_cast<double>(streamed), .unit = "bytes"});
    report_.Add({.name = "example.events", .value = static_cast<double>(rows_.events.size()), .unit = "events"});
    report_.Add({.name = "example.stored", .value = static_cast<double>(stored), .unit = "bytes"});
    agentd_ = StartAgentd({.program = setting_.agentd(), .folder = folder_, .script = kExampleScript});
    for (const auto* server : {agentd_.get(), floor_.get(), echo_.get()}) RunLoad(server->address(), Mode::kWatch, 16, absl::Seconds(0.5));  // warm-up
  }

  std::unique_ptr<ServerProcess> StartFloor(const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {setting_.bin + "/floor_server", "--answers", folder_ + "/answers"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<ServerProcess>(arguments, absl::StrCat(folder_, "/port.", name));
  }

  void Say(const std::string& name, int callers, const Rounds& rounds) {
    report_.Add({.name = name + ".bare_grpc", .value = rounds.of("echo"), .unit = "runs/s"});
    report_.Add({.name = name + ".bare_commit", .value = rounds.of("commit"), .unit = "runs/s"});
    Row runs{.name = name + ".runs", .value = rounds.of("product.runs"), .unit = "runs/s", .floor = rounds.of("floor.runs")};
    if (callers == 64) {
      runs.target = "at least half of bare gRPC with a group commit of the same bytes";
      runs.met = runs.value >= 0.5 * *runs.floor;
    }
    report_.Add(std::move(runs));
    report_.Add({.name = name + ".p50", .value = rounds.of("product.p50"), .unit = "ms", .floor = rounds.of("floor.p50")});
    report_.Add({.name = name + ".p99", .value = rounds.of("product.p99"), .unit = "ms", .floor = rounds.of("floor.p99")});
    report_.Add({.name = name + ".server_cpu", .value = rounds.of("cpu"), .unit = "us/run"});
    if (callers != 1) return;
    const double syncs = 2 * rounds.of("sync");
    report_.Add({.name = name + ".fdatasync", .value = rounds.of("sync"), .unit = "ms"});
    report_.Add({.name = name + ".p50_over_syncs",
                 .value = rounds.of("product.p50"),
                 .unit = "ms",
                 .floor = syncs,
                 .target = absl::StrCat("at most two fdatasyncs + 1 ms, that is ", syncs + 1, " ms"),
                 .met = rounds.of("product.p50") <= syncs + 1});
  }

  const Setting& setting_;
  Report& report_;
  const std::string folder_;
  RecordedRows rows_;
  std::unique_ptr<ServerProcess> agentd_;
  std::unique_ptr<ServerProcess> floor_;
  std::unique_ptr<ServerProcess> echo_;
};

}  // namespace

void ExampleRun(const Setting& setting, Report& report) {
  Example example(setting, report);
  for (const int callers : setting.callers) example.MeasureUnary(callers);
  for (const int callers : setting.callers) example.Measure(Mode::kWatch, "watch", callers);
  for (const int callers : setting.callers) example.Measure(Mode::kWait, "wait", callers);
}

}  // namespace agentruntime::bench
