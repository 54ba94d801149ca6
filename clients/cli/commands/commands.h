// The commands. Each prints to the session's output and returns its exit code; none throws.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agentruntime/v1/run.pb.h"
#include "clients/cli/connect.h"
#include "clients/cli/exit_code.h"

namespace agentruntime::cli {

// Limits as a person gave them; unset ones are left out of the request.
struct LimitOptions {
  std::optional<int32_t> max_steps;
  std::optional<int32_t> max_tool_calls;
  std::optional<int64_t> max_tokens;
  std::optional<int64_t> max_cost_micros;
  std::optional<int32_t> max_repeats;
  std::optional<absl::Duration> timeout;

  bool any() const { return max_steps || max_tool_calls || max_tokens || max_cost_micros || max_repeats || timeout; }
};

struct RunOptions {
  std::string agent;
  std::string input;  // `-`: all of standard input
  LimitOptions limits;
  std::vector<std::pair<std::string, std::string>> labels;
  std::optional<absl::Time> deadline;
  int32_t priority = 0;
  std::optional<absl::Time> not_before;
  std::string conversation;
  std::string request_id;
  bool detach = false;
  bool no_deltas = false;
};
ExitCode RunCommand(Session& session, const RunOptions& options);

struct WatchCommandOptions {
  std::string run;
  int64_t after = 0;
  bool no_deltas = false;
};
ExitCode WatchCommand(Session& session, const WatchCommandOptions& options);

struct RunsOptions {
  std::vector<std::string> states;        // words such as `running`
  std::vector<std::string> stop_reasons;  // words such as `max_steps`
  std::string agent;
  std::string conversation;
  std::vector<std::pair<std::string, std::string>> labels;
  std::optional<absl::Time> since;
  bool oldest_first = false;
  int limit = 20;
};
ExitCode RunsCommand(Session& session, const RunsOptions& options);

ExitCode ShowCommand(Session& session, const std::string& run);
ExitCode StepsCommand(Session& session, const std::string& run);
ExitCode EventsCommand(Session& session, const std::string& run, int64_t after);
// Prints all of what is kept under a name of the form runs/{run}/artifacts/{number}.
ExitCode ArtifactCommand(Session& session, const std::string& name);
ExitCode CancelCommand(Session& session, const std::string& run, const std::string& cause);
ExitCode DeleteCommand(Session& session, const std::vector<std::string>& runs);

struct ResumeOptions {
  std::string run;
  LimitOptions limits;
  std::string input;  // empty: none; `-`: all of standard input
  std::optional<absl::Time> deadline;
  std::string request_id;
  bool detach = false;
  bool no_deltas = false;
};
ExitCode ResumeCommand(Session& session, const ResumeOptions& options);

struct ForkOptions {
  std::string run;
  int32_t step = 0;   // the last that is shared; 0: the input alone
  std::string agent;  // empty: the run's own
  LimitOptions limits;
  std::string input;  // empty: none; `-`: all of standard input
  std::vector<std::pair<std::string, std::string>> labels;
  std::optional<absl::Time> deadline;
  bool allow_side_effects = false;
  std::string request_id;
  bool detach = false;
  bool no_deltas = false;
};
ExitCode ForkCommand(Session& session, const ForkOptions& options);

struct SendOptions {
  std::string run;
  std::string input;  // `-`: all of standard input
  std::string request_id;
};
ExitCode SendCommand(Session& session, const SendOptions& options);

struct ResolveOptions {
  std::string run;
  std::string call;
  // Exactly one of five.
  bool run_again = false;
  std::optional<std::string> result;  // text for the model; `-`: all of standard input
  bool give_up = false;
  bool allow = false;
  bool deny = false;
  bool question_only = false;            // with result: only a call that asks a question is given it
  std::optional<std::string> arguments;  // with allow: JSON instead of the model's; `-`: all of standard input
  std::string reason;                    // with give_up and deny
  std::string request_id;
};
// resolve, approve, deny and answer.
ExitCode ResolveCommand(Session& session, const ResolveOptions& options);

struct ApplyOptions {
  std::string file;  // `-`: standard input
  std::string etag;
};
ExitCode ApplyCommand(Session& session, const ApplyOptions& options);
ExitCode AgentsCommand(Session& session);
ExitCode AgentCommand(Session& session, const std::string& agent);
ExitCode ToolsCommand(Session& session);
ExitCode ModelsCommand(Session& session);
ExitCode InfoCommand(Session& session);
ExitCode DrainCommand(Session& session, std::optional<absl::Duration> grace);

// Shared by commands.

// Follows a run to its stop and shows it; the exit is the stop's.
ExitCode Follow(Session& session, const std::string& run, int64_t after, bool include_deltas);
void SetLimits(const LimitOptions& options, v1::Limits& limits);
// All of standard input for `-`, else `text`. INVALID_ARGUMENT: it is not UTF-8, or larger than a message may be.
absl::StatusOr<std::string> ReadInput(const std::string& text);
// A file, or standard input for `-`, of at most `bytes_max`. INVALID_ARGUMENT with a sentence that names it.
absl::StatusOr<std::string> ReadTextFile(const std::string& file, size_t bytes_max);

}  // namespace agentruntime::cli
