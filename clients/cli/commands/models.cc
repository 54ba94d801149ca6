#include "absl/strings/str_cat.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/table.h"
#include "clients/cli/text.h"
#include "proto/util/money.h"

namespace agentruntime::cli {

namespace {

std::string PriceText(const v1::Model& model) {
  if (!model.has_price()) return "-";
  return absl::StrCat(FormatMicros(model.price().input_micros()), " / ", FormatMicros(model.price().output_micros()));
}

}  // namespace

ExitCode ModelsCommand(Session& session) {
  const Output& output = session.output;
  const auto models = session.agents.Models();
  if (!models.ok()) return Fail(output, models.status());
  Table table({{"MODEL"}, {"PROVIDER"}, {"ITS NAME THERE"}, {"CONTEXT", true}, {"PRICE OF 1M IN / OUT", true}, {.title = "DESCRIPTION", .flexible = true}});
  for (const v1::Model& model : models->models()) {
    if (output.json) PrintJson(output, model);
    const std::string description = model.unavailable_reason().empty() ? model.description() : absl::StrCat("UNAVAILABLE: ", model.unavailable_reason());
    table.Add({PrintableLine(model.name()), PrintableLine(model.provider()), model.provider_model().empty() ? "-" : PrintableLine(model.provider_model()),
               model.context_tokens() > 0 ? FormatCount(model.context_tokens()) : "-", PriceText(model), PrintableLine(description)});
  }
  if (output.json) return ExitCode::kAnswered;
  output.out << (models->models().empty() ? "this server has no models; they are configured in agentd.yaml\n" : table.Render(output.width)) << std::flush;
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
