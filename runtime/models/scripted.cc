#include "runtime/models/scripted.h"

#include <boost/asio/this_coro.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/base/text.h"
#include "runtime/models/script.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

constexpr size_t kPlaceholderBytesMax = 16 << 10;  // of what one stands for

std::string TextOf(const Parts& parts) {
  std::string text;
  for (const v1::Part& part : parts) absl::StrAppend(&text, text.empty() ? "" : "\n", part.kind_case() == v1::Part::kJson ? part.json() : part.text());
  return text;
}

struct Placeholders {
  std::string input;
  std::string last_result;
  std::string step;
};

Placeholders Read(const ModelRequest& request) {
  Placeholders values{.step = absl::StrCat(request.step)};
  for (const ModelMessage& message : request.messages) {
    if (const auto* user = std::get_if<UserMessage>(&message)) values.input = TextOf(*user->parts);
    if (const auto* tool = std::get_if<ToolMessage>(&message)) values.last_result = TextOf(tool->finished->result());
  }
  values.input = std::string(CutUtf8(values.input, kPlaceholderBytesMax));
  values.last_result = std::string(CutUtf8(values.last_result, kPlaceholderBytesMax));
  return values;
}

std::string Fill(absl::string_view text, const Placeholders& values, bool in_json) {
  const auto spell = [in_json](const std::string& value) { return in_json ? EscapeJson(value) : value; };
  if (!absl::StrContains(text, "{")) return std::string(text);
  return absl::StrReplaceAll(text, {{"{input}", spell(values.input)}, {"{last_result}", spell(values.last_result)}, {"{step}", values.step}});
}

// The step of the script that decides step `number`, from 1; null beyond the last.
const ScriptStep* StepAt(const ScriptRule& rule, int64_t number) {
  for (const ScriptStep& step : rule.steps) {
    if (number <= step.repeat) return &step;
    number -= step.repeat;
  }
  return nullptr;
}

const ScriptRule* RuleFor(const Script& script, absl::string_view input) {
  for (const ScriptRule& rule : script.rules) {
    if (absl::StrContains(input, rule.input_contains)) return &rule;
  }
  return nullptr;
}

ModelOutcome Failure(const ScriptError& error) {
  ModelOutcome outcome;
  outcome.error.set_reason(error.reason);
  outcome.error.set_message(error.message);
  outcome.error.set_retryable(error.retryable);
  outcome.retry_after = error.retry_after;
  outcome.usage.emplace();
  return outcome;
}

}  // namespace

Scripted::Scripted(std::string name, std::shared_ptr<const Script> script, Timers& timers) : script_(std::move(script)), timers_(timers) {
  info_.name = std::move(name);
  info_.provider = "scripted";
  info_.description = script_->description;
  info_.context_tokens = script_->context_tokens;
  info_.attempts_max = script_->attempts_max;
  info_.local = true;
}

asio::awaitable<ModelOutcome> Scripted::Decide(ModelRequest request, DeltaSink& deltas) {
  const Placeholders values = Read(request);
  // By the first input, so that a resumed run stays in its rule.
  const auto* first = request.messages.empty() ? nullptr : std::get_if<UserMessage>(&request.messages.front());
  const ScriptRule* const rule = RuleFor(*script_, first == nullptr ? "" : TextOf(*first->parts));
  if (rule == nullptr) co_return Failure({"MODEL_BAD_RESPONSE", "no rule of the script fits the input", false, std::nullopt});
  const ScriptStep* const step = StepAt(*rule, request.step);
  if (step == nullptr) {
    co_return Failure({"MODEL_BAD_RESPONSE", absl::StrCat("the script ends before step ", request.step), false, std::nullopt});
  }
  const auto cancelled = [state = co_await asio::this_coro::cancellation_state] { return state.cancelled() != asio::cancellation_type::none; };
  const ScriptError stopped{"MODEL_UNAVAILABLE", "the attempt was cancelled", true, std::nullopt};
  if (step->delay > absl::ZeroDuration()) co_await timers_.Sleep(step->delay);
  if (cancelled()) co_return Failure(stopped);
  if (request.attempt >= 1 && static_cast<size_t>(request.attempt) <= step->errors.size()) {
    co_return Failure(step->errors[static_cast<size_t>(request.attempt) - 1]);
  }

  v1::Decision decision;
  std::string text;
  for (size_t i = 0; i < step->text.size(); ++i) {
    if (i > 0 && step->chunk_delay > absl::ZeroDuration()) co_await timers_.Sleep(step->chunk_delay);
    if (cancelled()) co_return Failure(stopped);
    const std::string chunk = Fill(step->text[i], values, false);
    deltas.Text(chunk);
    absl::StrAppend(&text, chunk);
  }
  if (!text.empty()) decision.add_content()->set_text(text);
  for (const ScriptCall& scripted : step->calls) {
    v1::ToolCall* const call = decision.add_tool_calls();
    call->set_tool(scripted.tool);
    call->set_arguments(Fill(scripted.arguments, values, scripted.is_json));
    deltas.ToolCall(decision.tool_calls_size(), call->tool(), call->arguments());
  }
  decision.set_finish_reason(step->finish_reason);
  ModelOutcome outcome;
  outcome.usage = step->usage;
  outcome.decision = std::move(decision);
  co_return outcome;
}

}  // namespace agentruntime
