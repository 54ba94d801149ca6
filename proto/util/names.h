// Resource names: printing and strict parsing. Nothing but what the printing makes is accepted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proto/base/id.h"

namespace agentruntime {

std::string RunName(const RunId& run);  // runs/{run}
std::optional<RunId> ParseRunName(absl::string_view name);

struct StepName {
  RunId run;
  int32_t number = 0;
};
std::string FormatStepName(const RunId& run, int32_t number);  // runs/{run}/steps/{number}
std::optional<StepName> ParseStepName(absl::string_view name);

std::string FormatCallName(const RunId& run, const CallId& call);  // runs/{run}/calls/{call}

// `runs/{run}/artifacts/{number}`.
struct ArtifactName {
  RunId run;
  int32_t number = 0;  // from 1
};
std::string FormatArtifactName(const RunId& run, int32_t number);
std::optional<ArtifactName> ParseArtifactName(absl::string_view name);

// `agents/{agent}` or `agents/{agent}/revisions/{revision}`.
struct AgentName {
  std::string agent;
  int32_t revision = 0;  // 0: the newest
};
std::string FormatAgentName(absl::string_view agent);
std::string FormatRevisionName(absl::string_view agent, int32_t revision);
std::optional<AgentName> ParseAgentName(absl::string_view name);

// 1-63 characters of [a-z0-9-], begins with a letter, does not end with `-` (AIP-122).
bool IsAgentId(absl::string_view id);
// 1-64 characters of [a-zA-Z0-9_-]: what model providers accept as a function's name.
bool IsToolName(absl::string_view name);

// Of `candidates` the one nearest to `name` by edit distance, if near enough to be a slip of the finger; else empty.
// `Candidates` is any range of strings.
template <typename Candidates>
std::string NearestName(absl::string_view name, const Candidates& candidates);
// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
int EditDistance(absl::string_view a, absl::string_view b);

template <typename Candidates>
std::string NearestName(absl::string_view name, const Candidates& candidates) {
  std::string nearest;
  int best = static_cast<int>(name.size()) / 3 + 1;
  for (const auto& candidate : candidates) {
    const int distance = EditDistance(name, candidate);
    if (distance <= best && (nearest.empty() || distance < best)) {
      best = distance;
      nearest = std::string(candidate);
    }
  }
  return nearest;
}

}  // namespace agentruntime
