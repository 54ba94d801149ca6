// A script, read and checked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentruntime/v1/run.pb.h"

namespace agentruntime {

inline constexpr size_t kScriptBytesMax = 4 << 20;
inline constexpr int32_t kScriptRepeatMax = 100'000;

// A failed attempt.
struct ScriptError {
  std::string reason;
  std::string message;
  bool retryable = true;
  std::optional<absl::Duration> retry_after;
};

struct ScriptCall {
  std::string tool;
  std::string arguments;  // text, with placeholders
  bool is_json = true;    // placeholders are filled in JSON's spelling
};

struct ScriptStep {
  int32_t repeat = 1;
  absl::Duration delay;             // before the first chunk
  absl::Duration chunk_delay;       // before each further chunk
  std::vector<ScriptError> errors;  // of the first attempts, one each
  std::vector<std::string> text;    // chunks, with placeholders
  std::vector<ScriptCall> calls;
  v1::FinishReason finish_reason = v1::FINISH_REASON_ANSWER;
  std::optional<v1::Usage> usage;  // nullopt: the model does not report any
};

struct ScriptRule {
  std::string input_contains;  // empty: any input
  std::vector<ScriptStep> steps;
};

struct Script {
  std::string description = "scripted, for tests and demos";
  int32_t context_tokens = 128'000;
  int32_t attempts_max = 5;
  std::vector<ScriptRule> rules;  // at least one; the first that fits is used
};

// INVALID_ARGUMENT, `file: pointer: what is wrong`, or with line and column where the text is no JSON. The file's text is given: nothing is opened.
absl::StatusOr<std::shared_ptr<const Script>> ReadScript(absl::string_view file, absl::string_view text);
// Reads the file too; NOT_FOUND, UNAVAILABLE.
absl::StatusOr<std::shared_ptr<const Script>> LoadScript(const std::string& path);

}  // namespace agentruntime
