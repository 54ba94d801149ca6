// The example run through gRPC with full durability, beside one fdatasync of the same disk.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/bench/agentd_process.h"
#include "tests/bench/load.h"

namespace agentruntime::bench {
namespace {

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())))];
}

// Median of appending 4 KiB and syncing it.
double FdatasyncMillis(const std::string& folder) {
  constexpr int kSyncs = 200;
  const std::string path = folder + "/fdatasync";
  const int file = open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  const std::string block(4096, 'x');
  std::vector<double> millis;
  for (int i = 0; i < kSyncs; ++i) {
    const absl::Time began = absl::Now();
    if (write(file, block.data(), block.size()) != static_cast<ssize_t>(block.size()) || fdatasync(file) != 0) {
      std::perror("fdatasync");
      std::exit(1);
    }
    millis.push_back(absl::ToDoubleMilliseconds(absl::Now() - began));
  }
  close(file);
  unlink(path.c_str());
  return Percentile(std::move(millis), 0.5);
}

struct Row {
  double runs_per_second, p50, p99, server_cpu_us;
};

Row Measure(const AgentdProcess& server, Mode mode, int callers, double seconds) {
  const absl::Duration cpu_before = server.CpuTime();
  const LoadResult result = RunLoad(server.address(), mode, callers, absl::Seconds(seconds));
  if (result.failed > 0 || result.latencies.empty()) {
    std::fprintf(stderr, "run_bench: %lld runs failed: %s\n", static_cast<long long>(result.failed), result.first_error.c_str());
    std::exit(1);
  }
  const auto runs = static_cast<double>(result.latencies.size());
  std::vector<double> millis;
  for (const absl::Duration latency : result.latencies) millis.push_back(absl::ToDoubleMilliseconds(latency));
  return {runs / absl::ToDoubleSeconds(result.elapsed), Percentile(millis, 0.5), Percentile(millis, 0.99),
          absl::ToDoubleMicroseconds(server.CpuTime() - cpu_before) / runs};
}

double MedianOf(const std::vector<Row>& rows, double Row::* member) {
  std::vector<double> values;
  for (const Row& row : rows) values.push_back(row.*member);
  return Percentile(std::move(values), 0.5);
}

int Main(int argc, char** argv) {
  std::string agentd = (std::filesystem::path(argv[0]).parent_path() / "agentd").string();
  std::string folder = (std::filesystem::current_path() / "run_bench.data").string();
  std::vector<int> callers = {1, 16, 64, 256};
  std::vector<std::string> modes = {"watch", "wait"};
  double seconds = 4;
  int rounds = 3;
  CLI::App app("The example run (two decisions, one tool) through gRPC with full durability");
  app.add_option("--agentd", agentd, "the server's program");
  app.add_option("--folder", folder, "for the database; on the disk to be measured; removed at the end");
  app.add_option("--callers", callers, "concurrent callers");
  app.add_option("--mode", modes, "watch (RunAgent) or wait (CreateRun and GetRun)")->check(CLI::IsMember({"watch", "wait"}));
  app.add_option("--seconds", seconds, "of one round");
  app.add_option("--rounds", rounds, "each figure is their median");
  CLI11_PARSE(app, argc, argv);

  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::printf("one fdatasync of 4 KiB: %.3f ms (median of 200)\n", FdatasyncMillis(folder));
  {
    const AgentdProcess server(agentd, folder);
    Measure(server, Mode::kWatch, 16, 1);  // warm-up
    std::printf("%-6s %8s %10s %9s %9s %16s\n", "mode", "callers", "runs/s", "p50 ms", "p99 ms", "server CPU us/run");
    for (const std::string& mode : modes) {
      for (const int number : callers) {
        std::vector<Row> rows;
        for (int round = 0; round < rounds; ++round) rows.push_back(Measure(server, mode == "watch" ? Mode::kWatch : Mode::kWait, number, seconds));
        std::printf("%-6s %8d %10.0f %9.2f %9.2f %16.0f\n", mode.c_str(), number, MedianOf(rows, &Row::runs_per_second), MedianOf(rows, &Row::p50),
                    MedianOf(rows, &Row::p99), MedianOf(rows, &Row::server_cpu_us));
        std::fflush(stdout);
      }
    }
    std::printf("server memory at the end: %.0f MiB resident\n", server.RssMiB());
  }
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace agentruntime::bench

int main(int argc, char** argv) { return agentruntime::bench::Main(argc, argv); }
