#include "clients/cli/commands/commands.h"
#include "proto/util/time.h"

namespace agentruntime::cli {

ExitCode ResumeCommand(Session& session, const ResumeOptions& options) {
  const auto name = ResolveRun(session, options.run);
  if (!name.ok()) return FailRun(session.output, name.status());
  const auto before = session.runs.Get(*name);
  if (!before.ok()) return Fail(session.output, before.status());
  v1::ResumeRunRequest request;
  request.set_name(*name);
  request.set_request_id(options.request_id);
  if (options.deadline) *request.mutable_deadline() = ToProto(*options.deadline);
  const LimitOptions& limits = options.limits;
  if (limits.any()) SetLimits(limits, *request.mutable_limits());
  if (!options.input.empty()) {
    auto input = ReadInput(options.input);
    if (!input.ok()) return FailUsage(session.output, std::string(input.status().message()));
    request.add_input()->set_text(*std::move(input));
  }
  const auto resumed = session.runs.Resume(std::move(request));
  if (!resumed.ok()) return Fail(session.output, resumed.status());
  if (!options.detach) return Follow(session, *name, before->last_sequence(), !options.no_deltas && (session.output.live || session.output.json));
  if (session.output.json) {
    PrintJson(session.output, *resumed);
  } else {
    session.output.out << *name << " goes on" << std::endl;
  }
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
