#include "runtime/models/openai_request.h"

#include <nlohmann/json.hpp>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "proto/base/text.h"
#include "runtime/part_text.h"

namespace agentruntime {
namespace {

// A JSON string.
std::string Quote(absl::string_view text) {
  return IsValidUtf8(text) ? absl::StrCat("\"", EscapeJson(text), "\"") : absl::StrCat("\"", EscapeJson(MakeValidUtf8(text)), "\"");
}

bool IsJsonObject(absl::string_view text) {
  return nlohmann::json::accept(text.begin(), text.end()) && text.find_first_not_of(" \t\r\n") != absl::string_view::npos &&
         text[text.find_first_not_of(" \t\r\n")] == '{';
}

std::string PartsText(const Parts& parts, absl::string_view artifact_reader = "") {
  std::string text;
  for (const v1::Part& part : parts) {
    if (!text.empty()) text.push_back('\n');
    absl::StrAppend(&text, PartText(part, artifact_reader));
  }
  return text;
}

// Providers read a call's arguments as a JSON object. What a model once wrote instead is quoted inside of one, or the whole history would be refused.
std::string Arguments(const v1::ToolCall& call) {
  if (call.arguments().empty()) return "{}";
  if (IsJsonObject(call.arguments())) return call.arguments();
  return absl::StrCat("{\"malformed_arguments\":", Quote(call.arguments()), "}");
}

void AppendMessage(std::string& json, absl::string_view message) { absl::StrAppend(&json, json.back() == '[' ? "" : ",", message); }

void AppendAssistant(std::string& json, const v1::Decision& decision) {
  const std::string text = PartsText(decision.content());
  std::string message = absl::StrCat("{\"role\":\"assistant\",\"content\":", text.empty() && decision.tool_calls_size() > 0 ? "null" : Quote(text));
  if (decision.tool_calls_size() > 0) {
    absl::StrAppend(&message, ",\"tool_calls\":[");
    for (int i = 0; i < decision.tool_calls_size(); ++i) {
      const v1::ToolCall& call = decision.tool_calls(i);
      absl::StrAppend(&message, i == 0 ? "" : ",", "{\"id\":", Quote(ProviderCallId(decision, i)),
                      ",\"type\":\"function\",\"function\":{\"name\":", Quote(call.tool()), ",\"arguments\":", Quote(Arguments(call)), "}}");
    }
    absl::StrAppend(&message, "]");
  }
  AppendMessage(json, absl::StrCat(message, "}"));
}

void AppendTools(std::string& json, const ModelRequest& request) {
  if (request.tools.empty()) return;
  absl::StrAppend(&json, ",\"tools\":[");
  for (const auto& tool : request.tools) {
    const std::string schema = tool->input_schema.empty() ? R"({"type":"object","properties":{}})" : tool->input_schema;
    AppendMessage(json, absl::StrCat("{\"type\":\"function\",\"function\":{\"name\":", Quote(tool->name), ",\"description\":", Quote(tool->description),
                                     ",\"parameters\":", schema, "}}"));
  }
  absl::StrAppend(&json, "]");
}

}  // namespace

std::string OpenAiRequestJson(const ModelRequest& request, const OpenAiOptions& options) {
  std::string json = absl::StrCat("{\"model\":", Quote(options.provider_model), ",\"stream\":true,\"stream_options\":{\"include_usage\":true},",
                                  Quote(options.max_tokens_field), ":", request.max_output_tokens);
  if (request.temperature.has_value()) absl::StrAppendFormat(&json, ",\"temperature\":%.6g", *request.temperature);
  if (options.parallel_tool_calls.has_value() && !request.tools.empty()) {
    absl::StrAppend(&json, ",\"parallel_tool_calls\":", *options.parallel_tool_calls ? "true" : "false");
  }
  absl::StrAppend(&json, ",\"messages\":[");
  if (!request.instructions.empty()) AppendMessage(json, absl::StrCat("{\"role\":\"system\",\"content\":", Quote(request.instructions), "}"));
  for (const ModelMessage& message : request.messages) {
    if (const auto* const user = std::get_if<UserMessage>(&message)) {
      AppendMessage(json, absl::StrCat("{\"role\":\"user\",\"content\":", Quote(PartsText(*user->parts)), "}"));
    } else if (const auto* const assistant = std::get_if<AssistantMessage>(&message)) {
      AppendAssistant(json, *assistant->decision);
    } else if (const auto* const tool = std::get_if<ToolMessage>(&message)) {
      AppendMessage(json, absl::StrCat("{\"role\":\"tool\",\"tool_call_id\":", Quote(ProviderCallId(*tool->decision, tool->call_index)),
                                       ",\"content\":", Quote(ResultText(*tool->finished, request.artifact_reader)), "}"));
    }
  }
  if (!request.notice.empty()) AppendMessage(json, absl::StrCat("{\"role\":\"user\",\"content\":", Quote(request.notice), "}"));
  absl::StrAppend(&json, "]");
  AppendTools(json, request);
  absl::StrAppend(&json, "}");
  return json;
}

std::string ProviderCallId(const v1::Decision& decision, int index) {
  const v1::ToolCall& call = decision.tool_calls(index);
  bool ours = call.provider_call_id().empty();
  for (int i = 0; i < decision.tool_calls_size() && !ours; ++i) ours = i != index && decision.tool_calls(i).provider_call_id() == call.provider_call_id();
  if (!ours) return call.provider_call_id();
  // Providers take letters, digits, `_` and `-` only.
  return absl::StrCat("call_", absl::StrReplaceAll(call.call_id(), {{".", "_"}}));
}

std::string ResultText(const v1::CallFinished& finished, absl::string_view artifact_reader) {
  std::string text = PartsText(finished.result(), artifact_reader);
  absl::string_view how;
  switch (finished.outcome()) {
    case v1::CALL_OUTCOME_OK: return text;
    case v1::CALL_OUTCOME_ERROR: how = "Error"; break;
    case v1::CALL_OUTCOME_DENIED: how = "Denied"; break;
    case v1::CALL_OUTCOME_NOT_RUN: how = "Not run"; break;
    case v1::CALL_OUTCOME_CANCELLED: how = "Cancelled"; break;
    case v1::CALL_OUTCOME_UNCERTAIN: how = "Outcome unknown: the call may or may not have taken effect"; break;
    case v1::CALL_OUTCOME_UNSPECIFIED:
    case v1::CallOutcome_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::CallOutcome_INT_MAX_SENTINEL_DO_NOT_USE_: return text;
  }
  return text.empty() ? absl::StrCat(how, ".") : absl::StrCat(how, ": ", text);
}

}  // namespace agentruntime
