#include "clients/cli/commands/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/run_view.h"

namespace agentruntime::cli {

ExitCode ResolveCommand(Session& session, const ResolveOptions& options) {
  const auto name = ResolveRun(session, options.run);
  if (!name.ok()) return FailRun(session.output, name.status());
  v1::ResolveCallRequest request;
  request.set_name(*name);
  request.set_call_id(options.call);
  request.set_request_id(options.request_id);
  if (options.run_again) {
    request.mutable_answer()->mutable_run_again();
  } else if (options.result) {
    auto result = ReadInput(*options.result);
    if (!result.ok()) return FailUsage(session.output, std::string(result.status().message()));
    request.mutable_answer()->mutable_result()->add_parts()->set_text(*std::move(result));
  } else {
    request.mutable_answer()->mutable_give_up()->set_reason(options.reason);
  }
  const auto resolved = session.runs.Resolve(std::move(request));
  if (!resolved.ok()) return Fail(session.output, resolved.status());
  if (session.output.json) {
    PrintJson(session.output, *resolved);
    return ExitCode::kAnswered;
  }
  session.output.out << "call " << options.call << " answered; " << BareRun(*name) << " goes on";
  for (const std::string& line : HowToAnswer(*resolved, session.output.program)) session.output.out << "\n" << line;
  session.output.out << std::endl;
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
