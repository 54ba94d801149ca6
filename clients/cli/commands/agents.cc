#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/row.h"
#include "clients/cli/table.h"
#include "clients/cli/text.h"
#include "proto/util/money.h"
#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime::cli {
namespace {

std::string Limits(const v1::Limits& limits) {
  std::vector<std::string> parts;
  if (limits.has_max_steps()) parts.push_back(absl::StrCat("max_steps: ", limits.max_steps()));
  if (limits.has_max_tool_calls()) parts.push_back(absl::StrCat("max_tool_calls: ", limits.max_tool_calls()));
  if (limits.has_max_tokens()) parts.push_back(absl::StrCat("max_tokens: ", limits.max_tokens()));
  if (limits.has_max_cost_micros()) parts.push_back(absl::StrCat("max_cost: ", FormatMicros(limits.max_cost_micros())));
  if (limits.has_max_repeats()) parts.push_back(absl::StrCat("max_repeats: ", limits.max_repeats()));
  if (limits.has_timeout()) parts.push_back(absl::StrCat("timeout: ", FormatLimit(FromProto(limits.timeout()))));
  return absl::StrJoin(parts, ", ");
}

std::string Revision(const v1::Agent& agent) {
  const auto name = ParseAgentName(agent.revision());
  return name ? absl::StrCat(name->revision) : "-";
}

std::string Dash(std::string text) { return text.empty() ? "-" : text; }

}  // namespace

ExitCode AgentsCommand(Session& session) {
  const Output& output = session.output;
  Table table({{"AGENT"}, {"REVISION", true}, {"MODEL"}, {"TOOLS"}, {.title = "DESCRIPTION", .flexible = true}});
  v1::ListAgentsRequest request;
  bool any = false;
  do {
    const auto page = session.agents.List(request);
    if (!page.ok()) return Fail(output, page.status());
    for (const v1::Agent& agent : page->agents()) {
      any = true;
      if (output.json) PrintJson(output, agent);
      table.Add({Printable(absl::StripPrefix(agent.name(), "agents/")), Revision(agent), PrintableLine(agent.model()),
                 Dash(PrintableLine(absl::StrJoin(agent.tools(), " "), 60)), PrintableLine(agent.description())});
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  if (output.json) return ExitCode::kAnswered;
  output.out << (any ? table.Render(output.width) : absl::StrCat("no agents yet; make one with: ", output.program, " agents apply -f FILE\n")) << std::flush;
  return ExitCode::kAnswered;
}

ExitCode AgentCommand(Session& session, const std::string& name) {
  const Output& output = session.output;
  const auto agent = session.agents.Get(ResolveAgent(name));
  if (!agent.ok()) return FailAgent(session, agent.status());
  if (output.json) {
    PrintJson(output, *agent);
    return ExitCode::kAnswered;
  }
  const auto line = [&output](absl::string_view title, const std::string& text) {
    if (!text.empty()) output.out << "  " << PadRight(title, 14) << text << "\n";
  };
  output.out << Colored(output, Tone::kStrong, Printable(agent->name())) << ", revision " << Revision(*agent) << "\n";
  line("description", PrintableLine(agent->description(), 1000));
  line("model", PrintableLine(agent->model()));
  line("tools", PrintableLine(absl::StrJoin(agent->tools(), ", "), 2000));
  line("approve tools", PrintableLine(absl::StrJoin(agent->approve_tools(), ", "), 2000));
  line("limits", Limits(agent->limits()));
  if (agent->model_settings().has_temperature()) line("temperature", absl::StrCat(agent->model_settings().temperature()));
  if (agent->model_settings().has_max_output_tokens()) line("output tokens", FormatCount(agent->model_settings().max_output_tokens()));
  if (agent->compaction() != v1::COMPACTION_STRATEGY_UNSPECIFIED)
    line("compaction", ShortName(v1::CompactionStrategy_Name(agent->compaction()), "COMPACTION_STRATEGY_"));
  if (agent->grace_step()) line("grace step", "yes");
  line("etag", PrintableLine(agent->etag()));
  if (!agent->instructions().empty()) {
    output.out << "\n";
    for (const std::string& text :
         WrapLines(Printable(absl::StripTrailingAsciiWhitespace(agent->instructions())), output.width > 0 ? output.width - 2 : 1 << 20))
      output.out << "  " << text << "\n";
  }
  output.out << std::flush;
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
