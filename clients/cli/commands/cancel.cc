#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/row.h"
#include "clients/cli/run_view.h"

namespace agentruntime::cli {
namespace {

constexpr absl::Duration kStopWait = absl::Seconds(15);  // the stop follows within 10 s

}  // namespace

ExitCode CancelCommand(Session& session, const std::string& run, const std::string& cause) {
  const Output& output = session.output;
  const auto name = ResolveRun(session, run);
  if (!name.ok()) return FailRun(output, name.status());
  const absl::Time start = absl::Now();
  const auto before = session.runs.Get(*name);
  if (!before.ok()) return Fail(output, before.status());
  auto cancelled = session.runs.Cancel(*name, cause);
  if (!cancelled.ok()) return Fail(output, cancelled.status());
  const bool was_stopped = before->state() == v1::RUN_STATE_STOPPED;
  if (!was_stopped && cancelled->state() != v1::RUN_STATE_STOPPED) {
    if (!output.json) output.out << "cancel recorded" << std::flush;
    if (auto stopped = session.runs.Get(*name, kStopWait); stopped.ok()) cancelled = std::move(stopped);
  } else if (!was_stopped && !output.json) {
    output.out << "cancel recorded" << std::flush;
  }
  if (output.json) {
    PrintJson(output, *cancelled);
    return ExitCode::kAnswered;
  }
  if (was_stopped) {
    output.out << BareRun(*name) << " had stopped before: " << ReasonName(cancelled->stop().reason()) << std::endl;
  } else if (cancelled->state() != v1::RUN_STATE_STOPPED) {
    output.out << "; it is still " << StateName(cancelled->state()) << ": " << output.program << " watch " << BareRun(*name) << std::endl;
  } else {
    output.out << "; " << ReasonName(cancelled->stop().reason()) << " after " << FormatElapsed(absl::Now() - start);
    const std::string why = StopText(cancelled->stop());
    output.out << (why.empty() ? "" : absl::StrCat(": ", why)) << std::endl;
  }
  return ExitCode::kAnswered;
}

ExitCode DeleteCommand(Session& session, const std::vector<std::string>& runs) {
  // All of them first: what is deleted for a command line that is wrong further on does not come back. And `last` is the same run wherever it stands.
  std::vector<std::string> names;
  for (const std::string& run : runs) {
    auto name = ResolveRun(session, run);
    if (!name.ok()) return FailRun(session.output, name.status());
    if (std::find(names.begin(), names.end(), *name) == names.end()) names.push_back(*std::move(name));
  }
  for (const std::string& name : names) {
    if (const absl::Status status = session.runs.Delete(name); !status.ok()) return Fail(session.output, status);
    if (session.output.json) {
      session.output.out << R"({"deleted":")" << name << R"("})" << std::endl;
    } else {
      session.output.out << name << " deleted" << std::endl;
    }
  }
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
