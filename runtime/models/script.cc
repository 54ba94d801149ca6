#include "runtime/models/script.h"

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/base/status.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "runtime/text/nested_json.h"

namespace agentruntime {
namespace {

using nlohmann::ordered_json;

constexpr absl::Duration kDelayMax = absl::Hours(1);
constexpr size_t kStepsMax = 10'000;                // of a rule, as written
constexpr size_t kErrorsMax = 100;                  // of a step
constexpr int kScriptDepthMax = kJsonDepthMax + 8;  // arguments, and the rules, steps and calls around them
constexpr int64_t kTokensMax = 1'000'000'000;

// A value and where it stands. Every method reports the first error by throwing `Wrong`, which does not leave this file.
struct Wrong {
  std::string what;
};

class Node {
 public:
  Node(const ordered_json& value, std::string pointer) : value_(value), pointer_(std::move(pointer)) {}

  [[noreturn]] void Fail(absl::string_view what) const { throw Wrong{absl::StrCat(pointer_.empty() ? "/" : pointer_, ": ", what)}; }
  const ordered_json& value() const { return value_; }

  // Only these keys may be there.
  void OnlyKeys(std::vector<std::string> keys) const {
    if (!value_.is_object()) Fail(absl::StrCat("give an object with ", absl::StrJoin(keys, ", ")));
    for (const auto& item : value_.items()) {
      if (std::find(keys.begin(), keys.end(), item.key()) != keys.end()) continue;
      const std::string nearest = NearestName(item.key(), keys);
      Child(item.key(), item.value())
          .Fail(nearest.empty() ? absl::StrCat("unknown field; known are ", absl::StrJoin(keys, ", "))
                                : absl::StrCat("unknown field; did you mean \"", nearest, "\"?"));
    }
  }
  std::optional<Node> Get(const char* key) const {
    const auto found = value_.find(key);
    if (found == value_.end()) return std::nullopt;
    return Child(key, *found);
  }
  Node Need(const char* key) const {
    std::optional<Node> node = Get(key);
    if (!node) Fail(absl::StrCat("\"", key, "\" is missing"));
    return *std::move(node);
  }
  std::vector<Node> Items(size_t count_max) const {
    if (!value_.is_array()) Fail("give a list");
    if (value_.size() > count_max) Fail(absl::StrCat(value_.size(), " items are more than ", count_max));
    std::vector<Node> items;
    for (size_t i = 0; i < value_.size(); ++i) items.push_back(Child(absl::StrCat(i), value_[i]));
    return items;
  }
  std::string Text() const {
    if (!value_.is_string()) Fail("give a text");
    return value_.get<std::string>();
  }
  bool Boolean() const {
    if (!value_.is_boolean()) Fail("give true or false");
    return value_.get<bool>();
  }
  int64_t Integer(int64_t min, int64_t max) const {
    if (!value_.is_number_integer() || (value_.is_number_unsigned() && value_.get<uint64_t>() > static_cast<uint64_t>(max)) || value_.get<int64_t>() < min ||
        value_.get<int64_t>() > max) {
      Fail(absl::StrCat("give a whole number from ", min, " to ", max));
    }
    return value_.get<int64_t>();
  }
  absl::Duration Duration() const {
    absl::Duration duration;
    if (!value_.is_string() || !absl::ParseDuration(value_.get<std::string>(), &duration) || duration < absl::ZeroDuration() || duration > kDelayMax) {
      Fail("give a duration up to 1 h as text, such as \"250ms\" or \"1s\"");
    }
    return duration;
  }

 private:
  Node Child(absl::string_view key, const ordered_json& value) const { return Node(value, absl::StrCat(pointer_, "/", key)); }

  const ordered_json& value_;
  std::string pointer_;
};

ScriptError ReadError(const Node& node) {
  node.OnlyKeys({"reason", "message", "retryable", "retry_after"});
  ScriptError error;
  error.reason = "MODEL_UNAVAILABLE";
  if (const auto reason = node.Get("reason")) {
    error.reason = reason->Text();
    if (!absl::StartsWith(error.reason, "MODEL_")) reason->Fail("a model's reasons begin with MODEL_, such as MODEL_UNAVAILABLE");
  }
  error.message = absl::StrCat("the script says ", error.reason);
  if (const auto message = node.Get("message")) error.message = message->Text();
  if (const auto retryable = node.Get("retryable")) error.retryable = retryable->Boolean();
  if (const auto retry_after = node.Get("retry_after")) error.retry_after = retry_after->Duration();
  return error;
}

ScriptCall ReadCall(const Node& node) {
  node.OnlyKeys({"tool", "arguments", "arguments_text"});
  ScriptCall call{.tool = node.Need("tool").Text()};
  const auto arguments = node.Get("arguments");
  const auto text = node.Get("arguments_text");
  if (arguments && text) text->Fail("give either arguments or arguments_text");
  if (text) {
    call.arguments = text->Text();
    call.is_json = false;
  } else {
    if (arguments && !arguments->value().is_object()) arguments->Fail("give an object; other text goes into arguments_text");
    call.arguments = arguments ? arguments->value().dump() : "{}";
  }
  return call;
}

v1::FinishReason ReadFinishReason(const Node& node) {
  v1::FinishReason reason = v1::FINISH_REASON_UNSPECIFIED;
  if (!v1::FinishReason_Parse(absl::StrCat("FINISH_REASON_", node.Text()), &reason) || reason == v1::FINISH_REASON_UNSPECIFIED) {
    node.Fail("give ANSWER, TOOL_CALLS, LENGTH or FILTERED");
  }
  return reason;
}

std::optional<v1::Usage> ReadUsage(const Node& node) {
  if (node.value().is_null()) return std::nullopt;
  node.OnlyKeys({"input_tokens", "cached_input_tokens", "output_tokens"});
  v1::Usage usage;
  if (const auto tokens = node.Get("input_tokens")) usage.set_input_tokens(tokens->Integer(0, kTokensMax));
  if (const auto tokens = node.Get("cached_input_tokens")) usage.set_cached_input_tokens(tokens->Integer(0, kTokensMax));
  if (const auto tokens = node.Get("output_tokens")) usage.set_output_tokens(tokens->Integer(0, kTokensMax));
  return usage;
}

ScriptStep ReadStep(const Node& node) {
  node.OnlyKeys({"repeat", "delay", "chunk_delay", "errors", "text", "calls", "finish_reason", "usage"});
  ScriptStep step;
  step.usage.emplace();
  if (const auto repeat = node.Get("repeat")) step.repeat = static_cast<int32_t>(repeat->Integer(1, kScriptRepeatMax));
  if (const auto delay = node.Get("delay")) step.delay = delay->Duration();
  if (const auto delay = node.Get("chunk_delay")) step.chunk_delay = delay->Duration();
  if (const auto errors = node.Get("errors")) {
    for (const Node& error : errors->Items(kErrorsMax)) step.errors.push_back(ReadError(error));
  }
  if (const auto text = node.Get("text")) {
    if (text->value().is_string()) {
      step.text.push_back(text->Text());
    } else {
      for (const Node& chunk : text->Items(kStepsMax)) step.text.push_back(chunk.Text());
    }
  }
  // One more than a decision may have, so that the bound itself can be tested.
  if (const auto calls = node.Get("calls")) {
    for (const Node& call : calls->Items(kCallsPerDecisionMax + 1)) step.calls.push_back(ReadCall(call));
  }
  if (step.text.empty() && step.calls.empty() && step.errors.empty() && !node.Get("finish_reason")) node.Fail("give text, calls, errors or finish_reason");
  step.finish_reason = step.calls.empty() ? v1::FINISH_REASON_ANSWER : v1::FINISH_REASON_TOOL_CALLS;
  if (const auto reason = node.Get("finish_reason")) step.finish_reason = ReadFinishReason(*reason);
  if (const auto usage = node.Get("usage")) step.usage = ReadUsage(*usage);
  return step;
}

std::vector<ScriptStep> ReadSteps(const Node& node) {
  std::vector<ScriptStep> steps;
  for (const Node& step : node.Items(kStepsMax)) steps.push_back(ReadStep(step));
  if (steps.empty()) node.Fail("give at least one step");
  return steps;
}

Script ReadRoot(const Node& node) {
  node.OnlyKeys({"description", "context_tokens", "attempts_max", "steps", "rules"});
  Script script;
  if (const auto description = node.Get("description")) script.description = description->Text();
  if (const auto tokens = node.Get("context_tokens")) script.context_tokens = static_cast<int32_t>(tokens->Integer(1, kTokensMax));
  if (const auto attempts = node.Get("attempts_max")) script.attempts_max = static_cast<int32_t>(attempts->Integer(1, kErrorsMax));
  const auto rules = node.Get("rules");
  const auto steps = node.Get("steps");
  if (rules.has_value() == steps.has_value()) node.Fail("give either steps or rules");
  if (steps) {
    script.rules.push_back({"", ReadSteps(*steps)});
    return script;
  }
  for (const Node& rule : rules->Items(kStepsMax)) {
    rule.OnlyKeys({"input_contains", "steps"});
    const auto contains = rule.Get("input_contains");
    script.rules.push_back({contains ? contains->Text() : "", ReadSteps(rule.Need("steps"))});
  }
  if (script.rules.empty()) rules->Fail("give at least one rule");
  return script;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Script>> ReadScript(absl::string_view file, absl::string_view text) {
  if (text.size() > kScriptBytesMax) return absl::InvalidArgumentError(absl::StrCat(file, ": more than ", kScriptBytesMax, " bytes"));
  if (text.find('\0') != absl::string_view::npos) return absl::InvalidArgumentError(absl::StrCat(file, ": not JSON: there is a zero byte in it"));
  if (JsonDepth(text) > kScriptDepthMax) return absl::InvalidArgumentError(absl::StrCat(file, ": nested deeper than ", kScriptDepthMax));
  try {
    // A key that stands twice would silently win.
    std::vector<std::set<std::string>> keys;
    std::string twice;
    const auto watch = [&](int, ordered_json::parse_event_t event, ordered_json& value) {
      if (event == ordered_json::parse_event_t::object_start) keys.emplace_back();
      if (event == ordered_json::parse_event_t::object_end) keys.pop_back();
      if (event == ordered_json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) twice = value.get<std::string>();
      return true;
    };
    const ordered_json root = ordered_json::parse(text.begin(), text.end(), watch);
    if (!twice.empty()) return absl::InvalidArgumentError(absl::StrCat(file, ": the key \"", twice, "\" stands twice in one object"));
    return std::make_shared<const Script>(ReadRoot(Node(root, "")));
  } catch (const Wrong& wrong) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", wrong.what));
  } catch (const ordered_json::exception& e) {
    absl::string_view what = e.what();
    if (const size_t end = what.find("] "); end != absl::string_view::npos) what.remove_prefix(end + 2);
    return absl::InvalidArgumentError(absl::StrCat(file, ": not JSON: ", what));
  }
}

absl::StatusOr<std::shared_ptr<const Script>> LoadScript(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": no such script"));
  std::string text(kScriptBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return absl::UnavailableError(absl::StrCat(path, ": cannot be read"));
  text.resize(static_cast<size_t>(file.gcount()));
  return ReadScript(path, text);
}

}  // namespace agentruntime
