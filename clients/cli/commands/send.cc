#include "clients/cli/commands/commands.h"
#include "clients/cli/run_view.h"

namespace agentruntime::cli {

ExitCode SendCommand(Session& session, const SendOptions& options) {
  const auto name = ResolveRun(session, options.run);
  if (!name.ok()) return FailRun(session.output, name.status());
  auto input = ReadInput(options.input);
  if (!input.ok()) return FailUsage(session.output, std::string(input.status().message()));
  v1::SendInputRequest request;
  request.set_name(*name);
  request.add_input()->set_text(*std::move(input));
  request.set_request_id(options.request_id);
  const auto sent = session.runs.SendInput(std::move(request));
  if (!sent.ok()) return Fail(session.output, sent.status());
  if (session.output.json) {
    PrintJson(session.output, *sent);
  } else {
    session.output.out << BareRun(*name) << " sees it at its next decision" << std::endl;
  }
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
