#include "proto/util/names.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace agentruntime {
namespace {

// Digits only, no leading zero, 1 to 2^31 - 1.
std::optional<int32_t> ParseNumber(absl::string_view text) {
  int32_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number < 1 || absl::StrCat(number) != text) return std::nullopt;
  return number;
}

}  // namespace

std::string RunName(const RunId& run) { return absl::StrCat("runs/", run.ToString()); }

std::optional<RunId> ParseRunName(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, "runs/")) return std::nullopt;
  return RunId::Parse(name);
}

std::string FormatStepName(const RunId& run, int32_t number) { return absl::StrCat(RunName(run), "/steps/", number); }

std::optional<StepName> ParseStepName(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  if (parts.size() != 4 || parts[0] != "runs" || parts[2] != "steps") return std::nullopt;
  const auto run = RunId::Parse(parts[1]);
  const auto number = ParseNumber(parts[3]);
  if (!run || !number) return std::nullopt;
  return StepName{*run, *number};
}

std::string FormatCallName(const RunId& run, const CallId& call) { return absl::StrCat(RunName(run), "/calls/", call.ToString()); }

std::string FormatArtifactName(const RunId& run, int32_t number) { return absl::StrCat(RunName(run), "/artifacts/", number); }

std::optional<ArtifactName> ParseArtifactName(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  if (parts.size() != 4 || parts[0] != "runs" || parts[2] != "artifacts") return std::nullopt;
  const auto run = RunId::Parse(parts[1]);
  const auto number = ParseNumber(parts[3]);
  if (!run || !number) return std::nullopt;
  return ArtifactName{*run, *number};
}

std::string FormatAgentName(absl::string_view agent) { return absl::StrCat("agents/", agent); }

std::string FormatRevisionName(absl::string_view agent, int32_t revision) { return absl::StrCat("agents/", agent, "/revisions/", revision); }

std::optional<AgentName> ParseAgentName(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  if ((parts.size() != 2 && parts.size() != 4) || parts[0] != "agents" || !IsAgentId(parts[1])) return std::nullopt;
  AgentName parsed{std::string(parts[1]), 0};
  if (parts.size() == 4) {
    const auto revision = ParseNumber(parts[3]);
    if (parts[2] != "revisions" || !revision) return std::nullopt;
    parsed.revision = *revision;
  }
  return parsed;
}

bool IsAgentId(absl::string_view id) {
  const auto allowed = [](char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-'; };
  return !id.empty() && id.size() <= 63 && absl::ascii_islower(id.front()) && id.back() != '-' && std::all_of(id.begin(), id.end(), allowed);
}

bool IsToolName(absl::string_view name) {
  const auto allowed = [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), allowed);
}

int EditDistance(absl::string_view a, absl::string_view b) {
  a = a.substr(0, 256);  // names are shorter; this bounds the work for what is not a name
  b = b.substr(0, 256);
  std::vector<std::vector<int>> cost(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = static_cast<int>(i + j);
        continue;
      }
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace agentruntime
