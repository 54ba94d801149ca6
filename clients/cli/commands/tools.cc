#include "absl/strings/str_cat.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/row.h"
#include "clients/cli/table.h"
#include "clients/cli/text.h"
#include "proto/util/time.h"

namespace agentruntime::cli {

ExitCode ToolsCommand(Session& session) {
  const Output& output = session.output;
  const auto tools = session.agents.Tools();
  if (!tools.ok()) return Fail(output, tools.status());
  Table table({{"TOOL"}, {"SIDE EFFECT"}, {"TIMEOUT", true}, {"ORIGIN"}, {.title = "DESCRIPTION", .flexible = true}});
  for (const v1::Tool& tool : tools->tools()) {
    if (output.json) PrintJson(output, tool);
    const std::string description = tool.unavailable_reason().empty() ? tool.description() : absl::StrCat("UNAVAILABLE: ", tool.unavailable_reason());
    table.Add({PrintableLine(tool.name()), ShortName(v1::SideEffect_Name(tool.side_effect()), "SIDE_EFFECT_"), FormatLimit(FromProto(tool.timeout())),
               PrintableLine(tool.origin()), PrintableLine(description)});
  }
  if (output.json) return ExitCode::kAnswered;
  output.out << (tools->tools().empty() ? "this server has no tools; they are configured in agentd.yaml\n" : table.Render(output.width)) << std::flush;
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
