#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/row.h"
#include "clients/cli/run_view.h"
#include "clients/cli/table.h"
#include "clients/cli/text.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime::cli {
namespace {

constexpr size_t kConversationShown = 24;  // characters

// A word such as `running` or `max-steps` as an enum's value.
template <typename Enum>
bool ParseWord(const std::string& word, absl::string_view prefix, bool (*parse)(google::protobuf::ConstStringParam, Enum*), Enum& value) {
  std::string name = absl::AsciiStrToUpper(word);
  std::replace(name.begin(), name.end(), '-', '_');
  return name != "UNSPECIFIED" && parse(absl::StrCat(prefix, name), &value);
}

// The names of an enum's values, for a message about a wrong one.
std::string Words(const google::protobuf::EnumDescriptor& type, absl::string_view prefix, const std::string& word) {
  std::vector<std::string> words;
  for (int i = 1; i < type.value_count(); ++i) words.push_back(absl::AsciiStrToLower(ShortName(type.value(i)->name(), prefix)));
  const std::string nearest = NearestName(absl::AsciiStrToLower(word), words);
  return absl::StrCat("\"", word, "\" is none of ", absl::StrJoin(words, ", "), nearest.empty() ? "" : absl::StrCat("; did you mean \"", nearest, "\"?"));
}

// `docs/1` of agents/docs/revisions/1.
std::string AgentText(const v1::Run& run) {
  const auto name = ParseAgentName(run.agent());
  if (!name) return PrintableLine(run.agent());
  return name->revision > 0 ? absl::StrCat(name->agent, "/", name->revision) : name->agent;
}

std::string AgeText(const v1::Run& run) {
  const absl::Duration age = std::max(absl::Now() - FromProto(run.create_time()), absl::ZeroDuration());
  if (age < absl::Minutes(1)) return absl::StrCat(absl::ToInt64Seconds(age), "s");
  return FormatElapsed(age);
}

std::string DoingText(const v1::Run& run) {
  const std::string waits = WaitsText(run);
  // The activity of a WAITING run says no more than that a person is waited for.
  std::string text = run.state() == v1::RUN_STATE_WAITING && !waits.empty() ? "" : PrintableLine(run.activity().detail());
  if (!waits.empty()) absl::StrAppend(&text, text.empty() ? "" : "; ", waits);
  if (run.activity().has_next_try_time()) {
    const absl::Duration left = FromProto(run.activity().next_try_time()) - absl::Now();
    if (left > absl::ZeroDuration()) absl::StrAppend(&text, ", next try in ", FormatElapsed(left));
  }
  return text;
}

bool AnyOf(const std::vector<v1::Run>& runs, bool (*is)(const v1::Run&)) { return std::any_of(runs.begin(), runs.end(), is); }

void PrintStopped(const Output& output, const std::vector<v1::Run>& runs) {
  // Columns for what few lists have.
  const bool forks = AnyOf(runs, [](const v1::Run& run) { return run.has_forked_from(); });
  const bool conversations = AnyOf(runs, [](const v1::Run& run) { return !run.conversation().empty(); });
  std::vector<Column> columns = {{"RUN"}, {"AGENT"}, {"STATE"}, {"STOP"}, {"STEPS", true}, {"CALLS", true}, {"TOKENS", true}, {"AGE", true}};
  if (forks) columns.push_back({"FORK OF"});
  if (conversations) columns.push_back({"CONVERSATION"});
  columns.push_back({.title = "TITLE", .flexible = true});
  Table table(std::move(columns));
  for (const v1::Run& run : runs) {
    const int64_t tokens = run.usage().input_tokens() + run.usage().output_tokens();
    std::vector<std::string> cells = {BareRun(run.name()),
                                      AgentText(run),
                                      StateName(run.state()),
                                      run.state() == v1::RUN_STATE_STOPPED ? ReasonName(run.stop().reason()) : "-",
                                      FormatCount(run.usage().steps()),
                                      FormatCount(run.usage().tool_calls()),
                                      tokens > 0 ? FormatCount(tokens) : "-",
                                      AgeText(run)};
    if (forks) cells.push_back(run.has_forked_from() ? BareRun(run.forked_from().run()) : "-");
    if (conversations) cells.push_back(run.conversation().empty() ? "-" : PrintableLine(run.conversation(), kConversationShown));
    cells.push_back(PrintableLine(run.title()));
    table.Add(std::move(cells));
  }
  output.out << table.Render(output.width) << std::flush;
}

// Nothing listed has stopped: what it does says more than what it is called.
void PrintLive(const Output& output, const std::vector<v1::Run>& runs) {
  Table table({{"RUN"}, {"AGENT"}, {"STATE"}, {"STEPS", true}, {"CALLS", true}, {"AGE", true}, {.title = "DOING", .flexible = true}});
  for (const v1::Run& run : runs) {
    table.Add({BareRun(run.name()), AgentText(run), StateName(run.state()), FormatCount(run.usage().steps()), FormatCount(run.usage().tool_calls()),
               AgeText(run), DoingText(run)});
  }
  output.out << table.Render(output.width) << std::flush;
}

}  // namespace

ExitCode RunsCommand(Session& session, const RunsOptions& options) {
  const Output& output = session.output;
  v1::ListRunsRequest request;
  for (const std::string& word : options.states) {
    v1::RunState state;
    if (!ParseWord(word, "RUN_STATE_", v1::RunState_Parse, state))
      return FailUsage(output, "--state: " + Words(*v1::RunState_descriptor(), "RUN_STATE_", word));
    request.add_states(state);
  }
  for (const std::string& word : options.stop_reasons) {
    v1::StopReason reason;
    if (!ParseWord(word, "STOP_REASON_", v1::StopReason_Parse, reason)) {
      return FailUsage(output, "--stop-reason: " + Words(*v1::StopReason_descriptor(), "STOP_REASON_", word));
    }
    request.add_stop_reasons(reason);
  }
  if (!options.agent.empty()) request.set_agent(ResolveAgent(options.agent));
  request.set_conversation(options.conversation);
  for (const auto& [key, value] : options.labels) (*request.mutable_labels())[key] = value;
  if (options.since) *request.mutable_created_after() = ToProto(*options.since);
  request.set_oldest_first(options.oldest_first);
  request.set_page_size(std::min(options.limit, kPageSizeMax));

  std::vector<v1::Run> runs;
  for (;;) {
    const auto page = session.runs.List(request);
    if (!page.ok()) return Fail(output, page.status());
    for (const v1::Run& run : page->runs()) {
      if (static_cast<int>(runs.size()) < options.limit) runs.push_back(run);
    }
    if (page->next_page_token().empty() || static_cast<int>(runs.size()) >= options.limit) break;
    request.set_page_token(page->next_page_token());
  }
  if (output.json) {
    for (const v1::Run& run : runs) PrintJson(output, run);
  } else if (runs.empty()) {
    output.out << "no such runs" << std::endl;
  } else if (AnyOf(runs, [](const v1::Run& run) { return run.state() == v1::RUN_STATE_STOPPED; })) {
    PrintStopped(output, runs);
  } else {
    PrintLive(output, runs);
  }
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
