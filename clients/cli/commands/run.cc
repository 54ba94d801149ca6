#include "absl/strings/str_cat.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/commands/follow.h"
#include "clients/cli/run_view.h"
#include "clients/cpp/run_source.h"
#include "proto/util/time.h"

namespace agentruntime::cli {

ExitCode RunCommand(Session& session, const RunOptions& options) {
  auto input = ReadInput(options.input);
  if (!input.ok()) return FailUsage(session.output, std::string(input.status().message()));
  v1::RunAgentRequest request;
  v1::Run& run = *request.mutable_run();
  run.set_agent(ResolveAgent(options.agent));
  run.add_input()->set_text(*std::move(input));
  const LimitOptions& limits = options.limits;
  if (limits.any()) SetLimits(limits, *run.mutable_limits());
  for (const auto& [key, value] : options.labels) (*run.mutable_labels())[key] = value;
  run.set_conversation(options.conversation);
  if (options.deadline) *run.mutable_deadline() = ToProto(*options.deadline);
  run.set_priority(options.priority);
  if (options.not_before) *run.mutable_not_before_time() = ToProto(*options.not_before);
  request.set_request_id(options.request_id);
  request.set_include_deltas(!options.no_deltas && (session.output.live || session.output.json));
  if (!options.detach) return FollowSource(session, client::RunAgentSource(session.channel, std::move(request)), 0);

  v1::CreateRunRequest create;
  create.mutable_run()->Swap(&run);
  create.set_request_id(request.request_id());
  const auto made = session.runs.Submit(std::move(create));
  if (!made.ok()) return FailAgent(session, made.status());
  if (session.output.json) {
    PrintJson(session.output, *made);
  } else {
    session.output.out << made->name() << std::endl;
  }
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
