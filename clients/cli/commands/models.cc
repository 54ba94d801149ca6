#include "absl/strings/str_cat.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/table.h"
#include "clients/cli/text.h"

namespace agentruntime::cli {

ExitCode ModelsCommand(Session& session) {
  const Output& output = session.output;
  const auto models = session.agents.Models();
  if (!models.ok()) return Fail(output, models.status());
  Table table({{"MODEL"}, {"PROVIDER"}, {"ITS NAME THERE"}, {"CONTEXT", true}, {.title = "DESCRIPTION", .flexible = true}});
  for (const v1::Model& model : models->models()) {
    if (output.json) PrintJson(output, model);
    const std::string description = model.unavailable_reason().empty() ? model.description() : absl::StrCat("UNAVAILABLE: ", model.unavailable_reason());
    table.Add({PrintableLine(model.name()), PrintableLine(model.provider()), model.provider_model().empty() ? "-" : PrintableLine(model.provider_model()),
               model.context_tokens() > 0 ? FormatCount(model.context_tokens()) : "-", PrintableLine(description)});
  }
  if (output.json) return ExitCode::kAnswered;
  output.out << (models->models().empty() ? "this server has no models; they are configured in agentd.yaml\n" : table.Render(output.width)) << std::flush;
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
