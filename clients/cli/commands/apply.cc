#include "clients/cli/commands/apply.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/text.h"
#include "clients/cpp/error.h"
#include "proto/base/status.h"
#include "proto/util/names.h"
#include "proto/util/yaml.h"

namespace agentruntime::cli {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;

std::string Line(absl::string_view file, absl::string_view text, absl::string_view field, absl::string_view what) {
  return absl::StrCat(YamlPosition(file, text, field), ": ", field, ": ", what);
}

std::string Missing(absl::string_view kind, absl::string_view name, const std::vector<std::string>& names) {
  const std::string nearest = NearestName(name, names);
  return absl::StrCat("no ", kind, " named \"", name, "\" on this server; ",
                      nearest.empty() ? absl::StrCat("see agentctl ", kind, "s") : absl::StrCat("did you mean \"", nearest, "\"?"));
}

template <typename Items>
std::vector<std::string> NamesOf(const Items& items) {
  std::vector<std::string> names;
  for (const auto& item : items) names.push_back(item.name());
  return names;
}

// What is wrong with the agent, as lines about the file; empty if `status` is about something else.
std::vector<std::string> Explain(Session& session, absl::string_view file, absl::string_view text, const v1::Agent& agent, const absl::Status& status) {
  std::vector<std::string> lines = ViolationLines(file, text, status);
  if (!lines.empty() || !absl::IsFailedPrecondition(status)) return lines;
  const auto models = session.agents.Models();
  const auto tools = session.agents.Tools();
  if (!models.ok() || !tools.ok()) return {};
  return MissingLines(file, text, agent, NamesOf(models->models()), NamesOf(tools->tools()));
}

ExitCode PrintLines(const Output& output, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) output.err << Printable(line) << "\n";
  output.err << std::flush;
  return ExitCode::kUsage;
}

}  // namespace

absl::StatusOr<v1::Agent> ReadAgent(absl::string_view file, absl::string_view text) {
  v1::Agent agent;
  RETURN_IF_ERROR(ReadYaml(file, text, agent));
  if (agent.name().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": name: every agent needs one, such as `name: support`"));
  }
  if (!absl::StartsWith(agent.name(), "agents/")) agent.set_name(FormatAgentName(agent.name()));
  const auto name = ParseAgentName(agent.name());
  if (!name || name->revision > 0) {
    return absl::InvalidArgumentError(
        Line(file, text, "name", "1-63 characters of a-z, 0-9 and -, beginning with a letter and not ending with -, such as support"));
  }
  return agent;
}

std::vector<std::string> ViolationLines(absl::string_view file, absl::string_view text, const absl::Status& status) {
  std::vector<std::string> lines;
  for (const FieldViolation& violation : client::DetailsOf(status).violations) {
    absl::string_view field = violation.field;
    if (absl::ConsumePrefix(&field, "agent.")) lines.push_back(Line(file, text, field, violation.description));
  }
  return lines;
}

std::vector<std::string> MissingLines(absl::string_view file, absl::string_view text, const v1::Agent& agent, const std::vector<std::string>& models,
                                      const std::vector<std::string>& tools) {
  std::vector<std::string> lines;
  const auto has = [](const std::vector<std::string>& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (!agent.model().empty() && !has(models, agent.model())) lines.push_back(Line(file, text, "model", Missing("model", agent.model(), models)));
  for (int i = 0; i < agent.tools_size(); ++i) {
    if (!has(tools, agent.tools(i))) lines.push_back(Line(file, text, absl::StrCat("tools[", i, "]"), Missing("tool", agent.tools(i), tools)));
  }
  return lines;
}

ExitCode ApplyCommand(Session& session, const ApplyOptions& options) {
  const Output& output = session.output;
  const auto text = ReadTextFile(options.file, kFileBytesMax);
  if (!text.ok()) return FailUsage(output, std::string(text.status().message()));
  const std::string file = options.file == "-" ? "standard input" : options.file;
  auto agent = ReadAgent(file, *text);
  if (!agent.ok()) return PrintLines(output, {std::string(agent.status().message())});
  if (!options.etag.empty()) agent->set_etag(options.etag);

  const auto before = session.agents.Get(agent->name());
  if (!before.ok() && !absl::IsNotFound(before.status())) return Fail(output, before.status());
  v1::UpdateAgentRequest request;
  *request.mutable_agent() = *agent;
  request.set_allow_missing(true);
  const auto applied = session.agents.Update(request);
  if (!applied.ok()) {
    const std::vector<std::string> lines = Explain(session, file, *text, *agent, applied.status());
    return lines.empty() ? Fail(output, applied.status()) : PrintLines(output, lines);
  }
  if (output.json) {
    PrintJson(output, *applied);
    return ExitCode::kAnswered;
  }
  const auto revision = ParseAgentName(applied->revision());
  const char* what = !before.ok() ? "created" : before->revision() == applied->revision() ? "unchanged" : "updated";
  output.out << applied->name() << " " << what << ", revision " << (revision ? revision->revision : 0) << std::endl;
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
