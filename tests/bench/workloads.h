// The workloads, one file each. Every one starts its own servers in a folder of its own and adds its rows to the report.
#pragma once

#include <string>
#include <vector>

#include "tests/bench/report.h"

namespace agentruntime::bench {

struct Setting {
  std::string bin;     // where agentd and floor_server are
  std::string folder;  // exists, empty, on the disk to be measured
  bool quick = false;  // smaller and shorter, the same rows but for the largest
  std::vector<int> callers;

  std::string agentd() const { return bin + "/agentd"; }
  // Makes a folder below `folder`.
  std::string Folder(const std::string& name) const;
};

// The example run at several numbers of callers, beside its floors: bare gRPC, bare group commit, both together, one fdatasync.
void ExampleRun(const Setting& setting, Report& report);
// Runs of 50, 1,000 and 5,000 steps: does a step grow dearer with the run's length, what does it weigh on disk, how long does the journal take to read.
void LongRun(const Setting& setting, Report& report);
// Many runs that wait for a model of 1 s: total time, memory of each.
void InFlight(const Setting& setting, Report& report);
// Many watchers of many runs: how late events come, memory of each.
void FanOut(const Setting& setting, Report& report);
// kill -9 with many unfinished runs, then a start.
void Recovery(const Setting& setting, Report& report);
// From the cancel to its reply and to the stop.
void Cancel(const Setting& setting, Report& report);
// A start over an empty store, and what the server weighs when it does nothing.
void StartUp(const Setting& setting, Report& report);

}  // namespace agentruntime::bench
