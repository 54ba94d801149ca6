#include "runtime/models/scripted.h"

#include <boost/asio/this_coro.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/base/text.h"
#include "runtime/models/script.h"
#include "runtime/part_text.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

constexpr size_t kPlaceholderBytesMax = 16 << 10;  // of what one stands for

std::string TextOf(const Parts& parts, absl::string_view artifact_reader = "") {
  std::string text;
  for (const v1::Part& part : parts) absl::StrAppend(&text, text.empty() ? "" : "\n", PartText(part, artifact_reader));
  return text;
}

// What placeholders stand for. Looked for where one is used only: a long history costs nothing else.
class Placeholders {
 public:
  explicit Placeholders(const ModelRequest& request) : request_(request) {}

  std::string Fill(absl::string_view text, bool in_json) const {
    if (!absl::StrContains(text, "{")) return std::string(text);
    std::vector<std::pair<absl::string_view, std::string>> values = {{"{step}", absl::StrCat(request_.step)}};
    if (absl::StrContains(text, "{input}")) values.emplace_back("{input}", Spell(Newest<UserMessage>(), in_json));
    if (absl::StrContains(text, "{last_result}")) values.emplace_back("{last_result}", Spell(Newest<ToolMessage>(), in_json));
    return absl::StrReplaceAll(text, values);
  }

 private:
  static const Parts& PartsOf(const UserMessage& message) { return *message.parts; }
  static const Parts& PartsOf(const ToolMessage& message) { return message.finished->result(); }
  static std::string Spell(absl::string_view value, bool in_json) {
    const absl::string_view cut = CutUtf8(value, kPlaceholderBytesMax);
    return in_json ? EscapeJson(cut) : std::string(cut);
  }
  template <typename Message>
  std::string Newest() const {
    for (size_t i = request_.messages.size(); i > 0; --i) {
      if (const auto* message = std::get_if<Message>(&request_.messages[i - 1])) return TextOf(PartsOf(*message), request_.artifact_reader);
    }
    return "";
  }

  const ModelRequest& request_;
};

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

[[gnu::noinline]] ModelOutcome Summary(const ModelRequest& request) {
  ModelOutcome outcome;
  outcome.usage.emplace();
  outcome.decision.emplace().set_finish_reason(v1::FINISH_REASON_ANSWER);
  outcome.decision->add_content()->set_text(absl::StrCat("The script went as far as step ", request.step - 1, "."));
  return outcome;
}

[[gnu::noinline]] ModelOutcome Cancelled() { return Failure({"MODEL_UNAVAILABLE", "the attempt was cancelled", true, std::nullopt}); }

// By the run's own first input, so that a resumed run stays in its rule.
const ScriptRule* FindRule(const Script& script, const ModelRequest& request) {
  const auto* first = request.messages.size() <= request.earlier ? nullptr : std::get_if<UserMessage>(&request.messages[request.earlier]);
  return RuleFor(script, first == nullptr ? "" : TextOf(*first->parts));
}

[[gnu::noinline]] const ScriptStep* FindStep(const Script& script, const ModelRequest& request) {
  const ScriptRule* const rule = FindRule(script, request);
  return rule == nullptr ? nullptr : StepAt(*rule, request.step);
}

[[gnu::noinline]] ModelOutcome NoStep(const Script& script, const ModelRequest& request) {
  if (FindRule(script, request) == nullptr) return Failure({"MODEL_BAD_RESPONSE", "no rule of the script fits the input", false, std::nullopt});
  return Failure({"MODEL_BAD_RESPONSE", absl::StrCat("the script ends before step ", request.step), false, std::nullopt});
}

const ScriptError* ErrorOf(const ScriptStep& step, int32_t attempt) {
  return attempt >= 1 && static_cast<size_t>(attempt) <= step.errors.size() ? &step.errors[static_cast<size_t>(attempt) - 1] : nullptr;
}

[[gnu::noinline]] void WriteChunk(const std::string& chunk, const ModelRequest& request, DeltaSink& deltas) {
  deltas.Text(Placeholders(request).Fill(chunk, false));
}

// The decision, its text written already.
[[gnu::noinline]] ModelOutcome Whole(const ScriptStep& step, const ModelRequest& request, DeltaSink& deltas) {
  const Placeholders placeholders(request);
  v1::Decision decision;
  std::string text;
  for (const std::string& chunk : step.text) absl::StrAppend(&text, placeholders.Fill(chunk, false));
  if (!text.empty()) decision.add_content()->set_text(text);
  for (const ScriptCall& scripted : step.calls) {
    v1::ToolCall* const call = decision.add_tool_calls();
    call->set_tool(scripted.tool);
    call->set_arguments(placeholders.Fill(scripted.arguments, scripted.is_json));
    deltas.ToolCall(decision.tool_calls_size(), call->tool(), call->arguments());
  }
  decision.set_finish_reason(step.finish_reason);
  ModelOutcome outcome;
  outcome.usage = step.usage;
  outcome.decision = std::move(decision);
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

// What follows runs in functions of its own: what a coroutine names, each of its frames that waits has room for.
asio::awaitable<ModelOutcome> Scripted::Decide(ModelRequest request, DeltaSink& deltas) {
  if (request.purpose == v1::MODEL_PURPOSE_SUMMARIZE) co_return Summary(request);
  const ScriptStep* const step = FindStep(*script_, request);
  if (step == nullptr) co_return NoStep(*script_, request);
  const auto cancelled = [state = co_await asio::this_coro::cancellation_state] { return state.cancelled() != asio::cancellation_type::none; };
  if (step->delay > absl::ZeroDuration()) co_await timers_.Sleep(step->delay);
  if (cancelled()) co_return Cancelled();
  if (const ScriptError* const error = ErrorOf(*step, request.attempt)) co_return Failure(*error);
  for (size_t i = 0; i < step->text.size(); ++i) {
    if (i > 0 && step->chunk_delay > absl::ZeroDuration()) co_await timers_.Sleep(step->chunk_delay);
    if (cancelled()) co_return Cancelled();
    WriteChunk(step->text[i], request, deltas);
  }
  co_return Whole(*step, request, deltas);
}

}  // namespace agentruntime
