// agentctl: the command line. The only file that sees CLI11.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cli/address.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/program.h"
#include "clients/cli/standard_out.h"
#include "clients/cpp/channel.h"
#include "proto/base/build_info.h"
#include "proto/util/money.h"
#include "proto/util/names.h"

namespace agentruntime::cli {
namespace {

constexpr char kServerVariable[] = "AGENTRUNTIME_SERVER";

using Command = std::function<ExitCode(Session&)>;

absl::Duration ToDuration(const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration == absl::InfiniteDuration() || duration < absl::ZeroDuration()) {
    throw CLI::ValidationError(absl::StrCat("\"", text, "\" is no duration; write 90s, 5m or 1h30m"));
  }
  return duration;
}

int64_t ToMicros(const std::string& text) {
  const auto micros = ParseMicros(text);
  if (!micros) throw CLI::ValidationError(absl::StrCat("\"", text, "\" is no amount of money; write 2, 0.25 or 0.000001"));
  return *micros;
}

std::string NeitherTimeNorDuration(const std::string& text) {
  return absl::StrCat("\"", text, "\" is neither a time such as \"2030-01-31 12:00:00\" (local) or 2030-01-31T12:00:00Z, nor a duration such as 2h");
}

// A point in time, or how long ago it was.
absl::Time ToTime(const std::string& text) {
  if (const auto time = ParseInstant(text)) return *time;
  absl::Duration ago;
  if (absl::ParseDuration(text, &ago) && ago >= absl::ZeroDuration() && ago < absl::InfiniteDuration()) return absl::Now() - ago;
  throw CLI::ValidationError(NeitherTimeNorDuration(text));
}

// A point in time to come, or how long until then.
absl::Time ToDeadline(const std::string& text) {
  if (const auto time = ParseInstant(text)) return *time;
  absl::Duration left;
  if (absl::ParseDuration(text, &left) && left >= absl::ZeroDuration() && left < absl::InfiniteDuration()) return absl::Now() + left;
  throw CLI::ValidationError(NeitherTimeNorDuration(text));
}

std::pair<std::string, std::string> ToLabel(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw CLI::ValidationError(absl::StrCat("\"", text, "\" is no label; write key=value"));
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void AddLimits(CLI::App& command, LimitOptions& limits) {
  command.add_option("--max-steps", limits.max_steps, "Decisions of the model at most");
  command.add_option("--max-tool-calls", limits.max_tool_calls, "Tool calls at most");
  command.add_option("--max-tokens", limits.max_tokens, "Tokens read and written at most");
  command.add_option_function<std::string>(
      "--max-cost", [&limits](const std::string& text) { limits.max_cost_micros = ToMicros(text); }, "Money at most, in the server's currency, such as 0.25");
  command.add_option("--max-repeats", limits.max_repeats, "Steps in a row with the same calls and results at most");
  command.add_option_function<std::string>(
      "--timeout", [&limits](const std::string& text) { limits.timeout = ToDuration(text); }, "Active time at most, such as 2m");
}

void AddDeadline(CLI::App& command, std::optional<absl::Time>& deadline) {
  command.add_option_function<std::string>(
      "--deadline", [&deadline](const std::string& text) { deadline = ToDeadline(text); }, "By when it stops, whatever it waits for: a time, or 2h from now");
}

void AddLabels(CLI::App& command, std::vector<std::pair<std::string, std::string>>& labels, const std::string& help) {
  command
      .add_option_function<std::vector<std::string>>(
          "--label",
          [&labels](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              auto label = ToLabel(text);
              const bool again = std::any_of(labels.begin(), labels.end(), [&](const auto& before) { return before.first == label.first; });
              if (again) throw CLI::ValidationError(absl::StrCat("--label: \"", label.first, "\" is there twice; a key has one value"));
              labels.push_back(std::move(label));
            }
          },
          help)
      ->expected(1)
      ->take_all();
}

// Options of all commands live as long as the parser; each command's callback sets what is to be done.
struct CommandLine {
  std::string server = client::kDefaultAddress;
  std::string output = "text";
  RunOptions run;
  WatchCommandOptions watch;
  RunsOptions runs;
  ResumeOptions resume;
  ForkOptions fork;
  SendOptions send;
  ResolveOptions resolve;
  ApplyOptions apply;
  std::string name;
  std::string cause;
  std::vector<std::string> names;
  int64_t after = 0;
  std::optional<absl::Duration> grace;
  Command command;
};

void AddFollowing(CLI::App& app, CommandLine& line) {
  CLI::App& run = *app.add_subcommand("run", "Make a run of an agent and follow it to its stop");
  run.add_option("AGENT", line.run.agent, "Name of the agent, see agentctl agents")->required();
  run.add_option("INPUT", line.run.input, "What to ask it; - reads standard input")->required();
  AddLimits(run, line.run.limits);
  AddDeadline(run, line.run.deadline);
  run.add_option("--priority", line.run.priority, "-10 to 10: of runs that wait for a session the higher goes first, a minute of waiting counts for one");
  run.add_option_function<std::string>(
      "--not-before", [&line](const std::string& text) { line.run.not_before = ToDeadline(text); }, "When it may begin: a time, or 2h from now");
  run.add_option("--conversation", line.run.conversation, "Your key of a conversation: the agent reads what earlier runs of it asked and answered");
  AddLabels(run, line.run.labels, "A label of the run, key=value; may be repeated");
  run.add_option("--request-id", line.run.request_id, "Your key of this request: the same key and content is the same run");
  run.add_flag("--detach", line.run.detach, "Print the run's name and return");
  run.add_flag("--no-deltas", line.run.no_deltas, "Do not stream text while the model writes it");
  run.callback([&line] { line.command = [&line](Session& session) { return RunCommand(session, line.run); }; });

  CLI::App& watch = *app.add_subcommand("watch", "Follow a run to its stop, from its journal");
  watch.add_option("RUN", line.watch.run, "Its id, or last")->required();
  watch.add_option("--after", line.watch.after, "Only events after this one");
  watch.add_flag("--no-deltas", line.watch.no_deltas, "Do not stream text while the model writes it");
  watch.callback([&line] { line.command = [&line](Session& session) { return WatchCommand(session, line.watch); }; });

  CLI::App& resume = *app.add_subcommand("resume", "Let a run that stopped short of an answer go on, and follow it");
  resume.add_option("RUN", line.resume.run, "Its id, or last")->required();
  AddLimits(resume, line.resume.limits);
  AddDeadline(resume, line.resume.deadline);
  resume.add_option("--input", line.resume.input, "More to tell the agent; - reads standard input");
  resume.add_option("--request-id", line.resume.request_id, "Your key of this request");
  resume.add_flag("--detach", line.resume.detach, "Do not follow it");
  resume.add_flag("--no-deltas", line.resume.no_deltas, "Do not stream text while the model writes it");
  resume.callback([&line] { line.command = [&line](Session& session) { return ResumeCommand(session, line.resume); }; });

  CLI::App& fork = *app.add_subcommand("fork", "Begin a new run that shares the steps of another up to one, and follow it");
  fork.add_option("RUN", line.fork.run, "Its id, or last")->required();
  fork.add_option("--step", line.fork.step, "The last step that is shared; 0: the input alone")->check(CLI::NonNegativeNumber)->capture_default_str();
  fork.add_option("--agent", line.fork.agent, "Go on with this agent instead");
  AddLimits(fork, line.fork.limits);
  AddDeadline(fork, line.fork.deadline);
  fork.add_option("--input", line.fork.input, "More to tell the agent; - reads standard input");
  AddLabels(fork, line.fork.labels, "A label of the fork, key=value; may be repeated");
  fork.add_flag("--allow-side-effects", line.fork.allow_side_effects, "Also call tools that change something; without it such calls are denied");
  fork.add_option("--request-id", line.fork.request_id, "Your key of this request: the same key and content is the same run");
  fork.add_flag("--detach", line.fork.detach, "Print the fork's name and return");
  fork.add_flag("--no-deltas", line.fork.no_deltas, "Do not stream text while the model writes it");
  fork.callback([&line] { line.command = [&line](Session& session) { return ForkCommand(session, line.fork); }; });
}

// Answers to calls that wait for a person.
void AddAnswers(CLI::App& app, CommandLine& line) {
  ResolveOptions& options = line.resolve;
  const auto add = [&](const char* name, const char* help) -> CLI::App& {
    CLI::App& command = *app.add_subcommand(name, help);
    command.add_option("RUN", options.run, "Its id, or last")->required();
    command.add_option("CALL", options.call, "The call, such as 3.2: see agentctl show")->required();
    command.add_option("--request-id", options.request_id, "Your key of this request");
    return command;
  };
  const auto resolve_then = [&line](auto set) {
    return [&line, set] {
      set(line.resolve);
      line.command = [&line](Session& session) { return ResolveCommand(session, line.resolve); };
    };
  };

  CLI::App& approve = add("approve", "Allow a call that waits for a person's leave");
  approve.add_option("--arguments", options.arguments, "JSON: start it with these arguments instead of the model's; - reads standard input");
  approve.callback(resolve_then([](ResolveOptions& resolve) { resolve.allow = true; }));

  CLI::App& deny = add("deny", "Refuse a call that waits for a person's leave");
  deny.add_option("--reason", options.reason, "Why, for the model to read");
  deny.callback(resolve_then([](ResolveOptions& resolve) { resolve.deny = true; }));

  CLI::App& answer = add("answer", "Answer a question of the agent");
  answer.add_option("TEXT", options.result, "The answer, for the model to read; - reads standard input")->required();
  answer.callback(resolve_then([](ResolveOptions& resolve) { resolve.question_only = true; }));

  CLI::App& resolve = add("resolve", "Say what became of a call that nobody knows the outcome of; or any other answer to a call that waits");
  CLI::Option_group& group = *resolve.add_option_group("answer", "One of");
  group.add_flag("--run-again", options.run_again, "Start it again: it took no effect, or a second one does no harm");
  group.add_option("--result", options.result, "This is its result, for the model to read: it took effect, or need not be made; - reads standard input");
  CLI::Option& give_up = *group.add_flag("--give-up", options.give_up, "Nobody can say: the model is told so");
  group.require_option(1);
  resolve.add_option("--reason", options.reason, "What you found out, for the model to read")->needs(&give_up);
  resolve.callback(resolve_then([](ResolveOptions&) {}));
}

void AddRuns(CLI::App& app, CommandLine& line) {
  CLI::App& runs = *app.add_subcommand("runs", "List runs, newest first");
  runs.add_option("--state", line.runs.states, "queued, running, waiting or stopped; may be repeated")->expected(1)->take_all();
  runs.add_option("--stop-reason", line.runs.stop_reasons, "final_answer, max_steps, error ...; may be repeated")->expected(1)->take_all();
  runs.add_option("--agent", line.runs.agent, "Runs of this agent");
  runs.add_option("--conversation", line.runs.conversation, "Runs of this conversation");
  AddLabels(runs, line.runs.labels, "Runs with this label, key=value; may be repeated");
  runs.add_option_function<std::string>("--since", [&line](const std::string& text) { line.runs.since = ToTime(text); }, "Made at or after a time, or 2h ago");
  runs.add_flag("--oldest-first", line.runs.oldest_first, "Oldest first");
  runs.add_option("--limit", line.runs.limit, "How many at most")->check(CLI::Range(1, 100'000))->capture_default_str();
  runs.callback([&line] { line.command = [&line](Session& session) { return RunsCommand(session, line.runs); }; });

  const auto add = [&](const char* name, const char* help, ExitCode (*command)(Session&, const std::string&)) {
    CLI::App& sub = *app.add_subcommand(name, help);
    sub.add_option("RUN", line.name, "Its id, or last")->required();
    sub.callback([&line, command] { line.command = [&line, command](Session& session) { return command(session, line.name); }; });
  };
  add("show", "Show a run: where it is, what it used, what it did last", ShowCommand);
  add("steps", "List the steps of a run", StepsCommand);

  CLI::App& events = *app.add_subcommand("events", "List the journal of a run");
  events.add_option("RUN", line.name, "Its id, or last")->required();
  events.add_option("--after", line.after, "Only events after this one");
  events.callback([&line] { line.command = [&line](Session& session) { return EventsCommand(session, line.name, line.after); }; });

  CLI::App& artifact = *app.add_subcommand("artifact", "Print a result that was too large for its event");
  artifact.add_option("NAME", line.name, "runs/RUN/artifacts/NUMBER, as steps and events show it")->required();
  artifact.callback([&line] { line.command = [&line](Session& session) { return ArtifactCommand(session, line.name); }; });

  CLI::App& cancel = *app.add_subcommand("cancel", "Ask a run to stop");
  cancel.add_option("RUN", line.name, "Its id, or last")->required();
  cancel.add_option("--cause", line.cause, "Why; stands in the run's stop");
  cancel.callback([&line] { line.command = [&line](Session& session) { return CancelCommand(session, line.name, line.cause); }; });

  CLI::App& send = *app.add_subcommand("send", "Tell the agent more while its run goes on");
  send.add_option("RUN", line.send.run, "Its id, or last")->required();
  send.add_option("INPUT", line.send.input, "What to tell it; - reads standard input")->required();
  send.add_option("--request-id", line.send.request_id, "Your key of this request");
  send.callback([&line] { line.command = [&line](Session& session) { return SendCommand(session, line.send); }; });

  AddAnswers(app, line);

  CLI::App& remove = *app.add_subcommand("delete", "Remove stopped runs and their journals, for ever");
  remove.add_option("RUN", line.names, "Their ids, or last")->required();
  remove.callback([&line] { line.command = [&line](Session& session) { return DeleteCommand(session, line.names); }; });
}

void AddServer(CLI::App& app, CommandLine& line) {
  CLI::App& agents = *app.add_subcommand("agents", "List agents; apply makes or changes one");
  agents.require_subcommand(0, 1);
  agents.callback([&line] {
    if (!line.command) line.command = AgentsCommand;
  });
  CLI::App& apply = *agents.add_subcommand("apply", "Make an agent, or a new revision of it, from a YAML file");
  apply.add_option("-f,--file", line.apply.file, "The file; - reads standard input")->required();
  apply.add_option("--etag", line.apply.etag, "Only if the agent is still the one with this etag");
  apply.callback([&line] { line.command = [&line](Session& session) { return ApplyCommand(session, line.apply); }; });
  CLI::App& get = *agents.add_subcommand("get", "Show an agent, or a revision of it (support/2)");
  get.add_option("AGENT", line.name, "Its name")->required();
  get.callback([&line] { line.command = [&line](Session& session) { return AgentCommand(session, line.name); }; });

  const auto add = [&](const char* name, const char* help, ExitCode (*command)(Session&)) {
    app.add_subcommand(name, help)->callback([&line, command] { line.command = command; });
  };
  add("tools", "List the server's tools", ToolsCommand);
  add("models", "List the server's models", ModelsCommand);
  add("info", "Show how the server is", InfoCommand);

  CLI::App& drain = *app.add_subcommand("drain", "Let the server end: no new runs, open ones go on at its next start");
  drain.add_option_function<std::string>(
      "--grace", [&line](const std::string& text) { line.grace = ToDuration(text); }, "How long work under way may take, such as 20s");
  drain.callback([&line] { line.command = [&line](Session& session) { return DrainCommand(session, line.grace); }; });
}

// The command that explains the one that was begun.
std::string HelpOf(const CLI::App& app) {
  std::string text = "agentctl ";
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    absl::StrAppend(&text, at->get_name(), " ");
  }
  return absl::StrCat(text, "--help");
}

// A word where a command belongs, with the nearest command; empty if the mistake is another.
std::string WhyNoCommand(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  std::vector<std::string> names;
  for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; })) names.push_back(command->get_name());
  const std::vector<std::string> words = app.remaining(/*recurse=*/true);
  if (names.empty() || words.empty() || absl::StartsWith(words.front(), "-")) return "";
  const std::string nearest = NearestName(words.front(), names);
  const std::string path = at == &app ? "" : absl::StrCat(at->get_name(), " ");
  return absl::StrCat("there is no command \"", path, words.front(), "\"",
                      nearest.empty() ? absl::StrCat("; see agentctl ", path, "--help") : absl::StrCat("; did you mean \"", path, nearest, "\"?"));
}

int Run(int argc, char** argv) {
  CLI::App app("agentctl: submit, follow and inspect runs of Agent Runtime", "agentctl");
  CommandLine line;
  app.set_version_flag("--version", absl::StrCat("agentctl ", std::string(Version())));
  app.add_option("--server", line.server, "The server, host:port")->envname(kServerVariable)->capture_default_str();
  app.add_option("--output,-o", line.output, "text, or json: one object a line")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  app.fallthrough();
  app.require_subcommand(1);
  app.footer(
      "Exit: 0 answered or done, 1 refused or the output cannot be written, 2 usage, 3 stopped by a limit, 4 error, 5 cancelled, 6 waiting for a person, 7 "
      "unreachable, 130 interrupted (the run goes on)\n"
      "A server that goes away while a run is followed is waited for, up to 3 min; Ctrl-C leaves the run alone.");
  AddFollowing(app, line);
  AddRuns(app, line);
  AddServer(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const std::string why = error.get_exit_code() == 0 ? "" : WhyNoCommand(app);
    if (!why.empty()) return static_cast<int>(FailUsage(StandardOutput(false), why));
    if (error.get_exit_code() != 0) return static_cast<int>(FailUsage(StandardOutput(false), absl::StrCat(error.what(), "; see ", HelpOf(app))));
    return app.exit(error);
  }
  Output output = StandardOutput(line.output == "json");
  const char* const from_environment = std::getenv(kServerVariable);
  output.program = ProgramText(argc > 0 ? argv[0] : "", line.server, from_environment == nullptr ? "" : from_environment);
  if (const absl::Status status = CheckAddress(line.server); !status.ok()) {
    return static_cast<int>(FailUsage(output, absl::StrCat("--server or AGENTRUNTIME_SERVER: ", status.message())));
  }
  const std::unique_ptr<Session> session = Connect(output, line.server);
  return static_cast<int>(session == nullptr ? ExitCode::kUnreachable : line.command(*session));
}

// What was said and lost is a failure, whatever became of the command.
int Main(int argc, char** argv) {
  KeepStandardDescriptors();
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);  // what fails is said once, in our words
  StandardOut out(std::cout);
  const int code = Run(argc, argv);
  const int error = out.Finish();
  if (error == 0) return code;
  std::cerr << "agentctl: standard output cannot be written: " << std::strerror(error) << std::endl;
  return static_cast<int>(ExitCode::kRefused);
}

}  // namespace
}  // namespace agentruntime::cli

int main(int argc, char** argv) { return agentruntime::cli::Main(argc, argv); }
