// Measures a real agentd beside what the same machine does without it. See README.md of this folder.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/bench/fail.h"
#include "tests/bench/plot.h"
#include "tests/bench/report.h"
#include "tests/bench/workloads.h"

namespace agentruntime::bench {

std::string Setting::Folder(const std::string& name) const {
  const std::string path = absl::StrCat(folder, "/", name);
  std::filesystem::create_directories(path);
  return path;
}

namespace {

const std::vector<std::pair<std::string, std::function<void(const Setting&, Report&)>>>& Workloads() {
  static const auto& workloads = *new std::vector<std::pair<std::string, std::function<void(const Setting&, Report&)>>>{
      {"start", StartUp}, {"example", ExampleRun}, {"long", LongRun}, {"cancel", Cancel}, {"recovery", Recovery}, {"fan-out", FanOut}, {"in-flight", InFlight}};
  return workloads;
}

void Write(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  if (!out.flush()) Fail("cannot write " + file);
}

int Main(int argc, char** argv) {
  Setting setting{.bin = std::filesystem::path(argv[0]).parent_path().string(),
                  .folder = (std::filesystem::current_path() / "bench.data").string(),
                  .quick = false,
                  .callers = {1, 16, 64, 256}};
  std::vector<std::string> names;
  for (const auto& [name, workload] : Workloads()) names.push_back(name);
  std::vector<std::string> only = names;
  std::string revision = "unknown";
  std::string json;
  std::string plot;
  CLI::App app("Measures a real agentd with full durability, beside the floors of the same machine");
  app.add_option("--bin", setting.bin, "the folder with agentd and floor_server");
  app.add_option("--folder", setting.folder, "for databases; on the disk to be measured; removed before and after");
  app.add_flag("--quick", setting.quick, "under two minutes");
  app.add_option("--only", only, "these workloads")->check(CLI::IsMember(names));
  app.add_option("--callers", setting.callers, "concurrent callers of the example run");
  app.add_option("--revision", revision, "of the code that was built; every row carries it");
  app.add_option("--json", json, "write the rows here");
  app.add_option("--plot", plot, "draw the example run here, as SVG");
  CLI11_PARSE(app, argc, argv);

  Report report(revision);
  const absl::Time began = absl::Now();
  for (const auto& [name, workload] : Workloads()) {
    if (std::find(only.begin(), only.end(), name) == only.end()) continue;
    std::filesystem::remove_all(setting.folder);
    std::filesystem::create_directories(setting.folder);
    workload(setting, report);
  }
  std::filesystem::remove_all(setting.folder);
  report.PrintTargets();
  std::printf("took %s\n", absl::FormatDuration(absl::Trunc(absl::Now() - began, absl::Seconds(1))).c_str());
  if (!json.empty()) Write(json, report.Json());
  if (!plot.empty()) Write(plot, PlotExample(report.rows()));
  return 0;
}

}  // namespace
}  // namespace agentruntime::bench

int main(int argc, char** argv) { return agentruntime::bench::Main(argc, argv); }
