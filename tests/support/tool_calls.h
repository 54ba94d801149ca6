// Calls one tool from a test, as the runtime would.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "runtime/tools/tool.h"
#include "tests/support/coroutine.h"

namespace agentruntime::testing {

class NoProgress final : public ProgressSink {
 public:
  void Progress(absl::string_view, std::optional<double>) override {}
};

inline ToolOutcome CallTool(Tool& tool, std::string arguments) {
  NoProgress progress;
  ToolRequest request;
  request.arguments = std::move(arguments);
  request.timeout = tool.spec().timeout;
  return RunCoroutine<ToolOutcome>([&] { return tool.Call(std::move(request), progress); });
}

// The JSON or text of the first part; "FAILED: message" if the tool failed.
inline std::string ResultOf(const ToolOutcome& outcome) {
  if (const auto* failed = std::get_if<ToolFailed>(&outcome)) return "FAILED: " + failed->message;
  if (const auto* unknown = std::get_if<ToolUnknown>(&outcome)) return "UNKNOWN: " + unknown->message;
  const ToolDone& done = std::get<ToolDone>(outcome);
  if (done.parts.empty()) return "";
  return done.parts[0].kind_case() == v1::Part::kJson ? done.parts[0].json() : done.parts[0].text();
}

}  // namespace agentruntime::testing
