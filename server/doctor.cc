#include "server/doctor.h"

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/util/names.h"
#include "runtime/load.h"
#include "storage/sqlite/database_file.h"
#include "storage/sqlite/inspector.h"

namespace agentruntime {
namespace {

// What was found, and where it is told.
class Report {
 public:
  explicit Report(std::ostream& out) : out_(out) {}

  void Tell(const std::vector<std::string>& faults) {
    for (const std::string& fault : faults) out_ << fault << "\n";
  }
  void TellOfFile(const std::string& path, const std::vector<std::string>& faults) {
    for (const std::string& fault : faults) out_ << path << ": " << fault << "\n";
    file_faults_ += faults.size();
  }
  void CountRun(bool whole) {
    ++runs_;
    if (!whole) ++damaged_runs_;
  }
  void CountAgents(size_t faults) { agent_faults_ += faults; }

  ExitCode SumUp() {
    out_ << runs_ << (runs_ == 1 ? " run, " : " runs, ") << damaged_runs_ << " damaged; ";
    if (agent_faults_ > 0) out_ << "faults of agents: " << agent_faults_ << "; ";
    out_ << "the file is " << (file_faults_ == 0 ? "whole" : "damaged") << "\n";
    return damaged_runs_ == 0 && agent_faults_ == 0 && file_faults_ == 0 ? ExitCode::kDrained : ExitCode::kDamaged;
  }

 private:
  std::ostream& out_;
  int64_t runs_ = 0;
  int64_t damaged_runs_ = 0;
  size_t agent_faults_ = 0;
  size_t file_faults_ = 0;
};

// The journal and what is kept beside it: damage of the one does not hide the other's.
void Examine(sqlite::Inspector& inspector, const RunId& run, Report& report) {
  std::vector<std::string> faults;
  const auto state = LoadState(inspector, run);
  if (!state.ok()) faults.push_back(absl::StrCat(RunName(run), ": ", std::string(state.status().message())));
  const std::vector<std::string> labels = inspector.LabelFaults(run);
  faults.insert(faults.end(), labels.begin(), labels.end());
  const std::vector<std::string> artifacts = inspector.ArtifactFaults(run, state.ok() ? state->own_artifacts : 0);
  faults.insert(faults.end(), artifacts.begin(), artifacts.end());
  report.CountRun(faults.empty());
  report.Tell(faults);
}

void ExamineRuns(sqlite::Inspector& inspector, Report& report) {
  int64_t unreadable = 0;
  for (;;) {
    const auto runs = inspector.NextRuns(unreadable);
    if (!runs.ok()) {
      report.TellOfFile(inspector.path(), {absl::StrCat("the list of runs cannot be read to its end: ", std::string(runs.status().message()))});
      break;
    }
    if (runs->empty()) break;
    for (const RunId& run : *runs) Examine(inspector, run, report);
  }
  if (unreadable > 0) report.TellOfFile(inspector.path(), {absl::StrCat("rows of runs whose id cannot be read: ", unreadable)});
}

}  // namespace

ExitCode ExamineStore(const std::string& path, std::ostream& out) {
  const auto inspector = sqlite::Inspector::Open(path);
  if (!inspector.ok()) {
    out << std::string(inspector.status().message()) << "\n";
    if (absl::IsDataLoss(inspector.status())) {
      out << "nothing behind this fault was looked at; the file is damaged\n";
      return ExitCode::kDamaged;
    }
    return sqlite::IsInUse(inspector.status()) ? ExitCode::kInUse : ExitCode::kStore;
  }
  Report report(out);
  ExamineRuns(**inspector, report);
  const std::vector<std::string> agents = (*inspector)->AgentFaults();
  report.CountAgents(agents.size());
  report.Tell(agents);
  report.TellOfFile((*inspector)->path(), (*inspector)->FileFaults());
  return report.SumUp();
}

}  // namespace agentruntime
