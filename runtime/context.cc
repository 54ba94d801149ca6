#include "runtime/context.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "proto/util/limits.h"
#include "runtime/budget.h"

namespace agentruntime {
namespace {

constexpr int64_t kBytesPerToken = 4;
constexpr int64_t kTokensPerMessage = 4;

// Shares the event's memory.
template <typename T>
std::shared_ptr<const T> Inside(const EventPtr& event, const T& part) {
  return std::shared_ptr<const T>(event, &part);
}

const Parts& InputOf(const v1::Event& event) {
  if (event.has_run_created()) return event.run_created().input();
  return event.has_input_received() ? event.input_received().input() : event.run_resumed().input();
}

void AddStep(Messages& messages, const StepState& step) {
  const auto decision = Inside(step.decision, step.decision->decision_made().decision());
  messages.emplace_back(AssistantMessage{decision});
  for (const CallState& call : step.calls) {
    messages.emplace_back(ToolMessage{decision, call.id.index - 1, Inside(call.finished, call.finished->call_finished())});
  }
}

}  // namespace

int64_t OutputTokensMax(const RunPlan& plan) {
  int64_t most = kMaxOutputTokensDefault;
  if (plan.agent->model_settings().has_max_output_tokens()) most = plan.agent->model_settings().max_output_tokens();
  if (plan.model != nullptr) most = std::min<int64_t>(most, std::max(1, plan.model->info().context_tokens / 2));
  return std::max<int64_t>(1, most);
}

int64_t EstimatePromptTokens(const RunState& state, const RunPlan& plan) {
  int64_t bytes = state.history_bytes + static_cast<int64_t>(plan.agent->instructions().size());
  for (const auto& [name, planned] : plan.tools) {
    bytes += static_cast<int64_t>(name.size() + planned.spec->description.size() + planned.spec->input_schema.size());
  }
  const auto messages = static_cast<int64_t>(state.history.size()) + state.usage.tool_calls() + 1;
  return bytes / kBytesPerToken + messages * kTokensPerMessage;
}

const Messages& MessageHistory::Of(const RunState& state) {
  for (; items_ < state.history.size(); ++items_) {
    if (const auto* input = std::get_if<InputItem>(&state.history[items_])) {
      messages_.emplace_back(UserMessage{Inside(input->event, InputOf(*input->event))});
    } else {
      AddStep(messages_, std::get<StepState>(state.history[items_]));
    }
  }
  return messages_;
}

ModelRequest BuildModelRequest(const RunState& state, const RunPlan& plan, MessageHistory& history) {
  ModelRequest request;
  request.run = state.id;
  request.step = state.next_step();
  request.attempt = state.model.attempts;
  request.instructions = plan.agent->instructions();
  request.messages = history.Of(state);
  if (state.model.grace) {
    request.notice = GraceNotice(state, plan);
  } else {
    for (const auto& [name, planned] : plan.tools) request.tools.push_back(planned.spec);
  }
  if (plan.agent->model_settings().has_temperature()) request.temperature = plan.agent->model_settings().temperature();
  int64_t output = OutputTokensMax(plan);
  // The reservation was cut to what the budget left; the prompt's estimate is the same as when it was made.
  const int64_t prompt = EstimatePromptTokens(state, plan) + (state.model.grace ? kGraceNoticeTokens : 0);
  if (state.model.reserved_tokens > 0) output = std::clamp<int64_t>(state.model.reserved_tokens - prompt, 1, output);
  request.max_output_tokens = static_cast<int32_t>(output);
  return request;
}

}  // namespace agentruntime
