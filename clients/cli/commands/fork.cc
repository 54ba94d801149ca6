#include "clients/cli/commands/commands.h"
#include "clients/cli/commands/follow.h"
#include "proto/util/time.h"

namespace agentruntime::cli {

ExitCode ForkCommand(Session& session, const ForkOptions& options) {
  const auto name = ResolveRun(session, options.run);
  if (!name.ok()) return FailRun(session.output, name.status());
  v1::ForkRunRequest request;
  request.set_name(*name);
  request.set_step(options.step);
  if (!options.agent.empty()) request.set_agent(ResolveAgent(options.agent));
  if (options.limits.any()) SetLimits(options.limits, *request.mutable_limits());
  if (!options.input.empty()) {
    auto input = ReadInput(options.input);
    if (!input.ok()) return FailUsage(session.output, std::string(input.status().message()));
    request.add_input()->set_text(*std::move(input));
  }
  for (const auto& [key, value] : options.labels) (*request.mutable_labels())[key] = value;
  if (options.deadline) *request.mutable_deadline() = ToProto(*options.deadline);
  request.set_allow_side_effects(options.allow_side_effects);
  request.set_request_id(options.request_id);
  const auto fork = session.runs.Fork(std::move(request));
  if (!fork.ok()) return FailAgent(session, fork.status());
  if (!options.detach) {
    // From its own first event on: what it shares was shown when it happened.
    return Follow(session, fork->name(), fork->forked_from().sequence(), !options.no_deltas && (session.output.live || session.output.json));
  }
  if (session.output.json) {
    PrintJson(session.output, *fork);
  } else {
    session.output.out << fork->name() << std::endl;
  }
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
