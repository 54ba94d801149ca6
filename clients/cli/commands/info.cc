#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/row.h"
#include "clients/cli/text.h"
#include "proto/util/time.h"

namespace agentruntime::cli {

ExitCode InfoCommand(Session& session) {
  const Output& output = session.output;
  const auto info = session.admin.Info();
  if (!info.ok()) return Fail(output, info.status());
  if (output.json) {
    PrintJson(output, *info);
    return ExitCode::kAnswered;
  }
  const bool serving = info->serving_state() == v1::SERVING_STATE_SERVING;
  const std::string state = ShortName(v1::ServingState_Name(info->serving_state()), "SERVING_STATE_");
  const absl::Duration up = std::max(absl::Now() - FromProto(info->start_time()), absl::ZeroDuration());
  const v1::RunCounts& runs = info->runs();
  output.out << "agentd " << PrintableLine(info->version()) << "  " << Colored(output, serving ? Tone::kGood : Tone::kBad, state) << "  up "
             << FormatElapsed(up) << "  " << PrintableLine(info->store().kind()) << " " << FormatBytes(info->store().bytes()) << ", "
             << FormatBytes(info->store().free_bytes()) << " free  runs: " << FormatCount(runs.queued()) << " queued, " << FormatCount(runs.running())
             << " running, " << FormatCount(runs.waiting()) << " waiting, " << FormatCount(runs.set_aside()) << " set aside";
  if (!info->currency_code().empty()) output.out << "  costs in " << PrintableLine(info->currency_code());
  output.out << std::endl;
  return ExitCode::kAnswered;
}

ExitCode DrainCommand(Session& session, std::optional<absl::Duration> grace) {
  const Output& output = session.output;
  if (const absl::Status status = session.admin.Drain(grace); !status.ok()) return Fail(output, status);
  if (output.json) {
    output.out << R"({"draining":true})" << std::endl;
  } else {
    output.out << "the server at " << session.address << " drains: no new runs; it exits when work under way has parked, and open runs go on at its next start"
               << std::endl;
  }
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
