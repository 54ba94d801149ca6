// Errors of `agents apply`, at the place in the file that they are about.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agentruntime/v1/agent.pb.h"

namespace agentruntime::cli {

// The agent in `text`, YAML; `name: support` is short for `name: agents/support`. INVALID_ARGUMENT with positions.
absl::StatusOr<v1::Agent> ReadAgent(absl::string_view file, absl::string_view text);

// `file:line:column: field: what is wrong` for each field that `status` names; empty if it names none of the agent.
std::vector<std::string> ViolationLines(absl::string_view file, absl::string_view text, const absl::Status& status);

// The same for the model and the tools that the server does not have, with the nearest name of those that it has.
std::vector<std::string> MissingLines(absl::string_view file, absl::string_view text, const v1::Agent& agent, const std::vector<std::string>& models,
                                      const std::vector<std::string>& tools);

}  // namespace agentruntime::cli
