#include "clients/cli/commands/commands.h"

namespace agentruntime::cli {

ExitCode WatchCommand(Session& session, const WatchCommandOptions& options) {
  const auto name = ResolveRun(session, options.run);
  if (!name.ok()) return FailRun(session.output, name.status());
  return Follow(session, *name, options.after, !options.no_deltas && (session.output.live || session.output.json));
}

}  // namespace agentruntime::cli
