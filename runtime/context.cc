#include "runtime/context.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/planted_bug.h"
#include "proto/util/limits.h"
#include "runtime/budget.h"
#include "runtime/compaction.h"
#include "runtime/shortening.h"

namespace agentruntime {
namespace {

// Shares the event's memory.
template <typename T>
std::shared_ptr<const T> Inside(const EventPtr& event, const T& part) {
  return std::shared_ptr<const T>(event, &part);
}

// What is left of the result, in its place.
std::shared_ptr<const v1::CallFinished> Cleared(const v1::CallFinished& finished) {
  auto cleared = std::make_shared<v1::CallFinished>();
  cleared->set_call_id(finished.call_id());
  cleared->set_outcome(finished.outcome());
  *cleared->mutable_result() = ClearedResult(finished.result());
  return cleared;
}

// What the model wrote stays as it is, and behind the result stands what the call was made with instead.
std::shared_ptr<const v1::CallFinished> WithNote(const v1::CallFinished& finished, std::string note) {
  auto noted = std::make_shared<v1::CallFinished>(finished);
  noted->add_result()->set_text(std::move(note));
  return noted;
}

void AddStep(Messages& messages, const Shortening& shortening, const StepState& step) {
  const auto decision = Inside(step.decision, step.decision->decision_made().decision());
  messages.emplace_back(AssistantMessage{decision});
  for (const CallState& call : step.calls) {
    if (IsPlanted(Bug::kUnpairedCall) && &call == &step.calls.back()) continue;
    const v1::CallFinished& finished = call.finished->call_finished();
    auto read = IsCleared(shortening, call) ? Cleared(finished) : Inside(call.finished, finished);
    if (std::string note = AllowedNote(call); !note.empty()) read = WithNote(*read, std::move(note));
    messages.emplace_back(ToolMessage{decision, call.id.index - 1, std::move(read)});
  }
}

UserMessage SummaryMessage(const v1::ContextCompacted& compacted) {
  auto parts = std::make_shared<Parts>();
  parts->Add()->set_text(absl::StrCat(kSummaryHead, compacted.summary()));
  return UserMessage{std::move(parts)};
}

// Items of the history from `first` on, without those that begin behind `end`. The summary stands behind what it was made of.
void AddItems(Messages& messages, const RunState& state, size_t first, Sequence end) {
  bool told = state.summary == nullptr || first > 0;
  for (size_t i = first; i < state.history.size(); ++i) {
    const auto* const input = std::get_if<InputItem>(&state.history[i]);
    const Sequence sequence = input != nullptr ? input->event->sequence() : std::get<StepState>(state.history[i]).decision->sequence();
    if (!told && sequence > state.shortening.summarized) {
      messages.emplace_back(SummaryMessage(state.summary->context_compacted()));
      told = true;
    }
    if (sequence > end) return;
    if (input != nullptr) {
      messages.emplace_back(UserMessage{Inside(input->event, InputOf(*input->event))});
    } else if (const auto& step = std::get<StepState>(state.history[i]); !IsSummarized(state.shortening, step)) {
      AddStep(messages, state.shortening, step);
    }
  }
}

ContextSize StandingSize(const RunPlan& plan) {
  ContextSize size{plan.earlier_bytes + static_cast<int64_t>(plan.agent->instructions().size()), static_cast<int64_t>(plan.earlier.size()) + 1};
  for (const auto& [name, planned] : plan.tools) {
    size.bytes += static_cast<int64_t>(name.size() + planned.spec->description.size() + planned.spec->input_schema.size());
  }
  return size;
}

}  // namespace

int64_t OutputTokensMax(const RunPlan& plan) {
  int64_t most = kMaxOutputTokensDefault;
  if (plan.agent->model_settings().has_max_output_tokens()) most = plan.agent->model_settings().max_output_tokens();
  if (plan.model != nullptr) most = std::min<int64_t>(most, std::max(1, plan.model->info().context_tokens / 2));
  return std::max<int64_t>(1, most);
}

int64_t EstimateStandingTokens(const RunPlan& plan) { return TokensOf(StandingSize(plan)); }

int64_t EstimatePromptTokens(const RunState& state, const RunPlan& plan) {
  ContextSize size = StandingSize(plan);
  size.bytes += state.history_bytes;
  size.messages += state.history_messages;
  return TokensOf(size);
}

const Messages& MessageHistory::Of(const RunState& state, const RunPlan& plan) {
  if (changed_ != state.shortening.changed) {
    items_ = 0;
    changed_ = state.shortening.changed;
  }
  if (items_ == 0) messages_ = Messages(plan.earlier);
  AddItems(messages_, state, items_, std::numeric_limits<Sequence>::max());
  items_ = state.history.size();
  return messages_;
}

ModelRequest BuildModelRequest(const RunState& state, const RunPlan& plan, MessageHistory& history) {
  ModelRequest request;
  request.run = state.id;
  request.step = state.next_step();
  request.attempt = state.model.attempts;
  request.instructions = plan.agent->instructions();
  request.purpose = state.model.purpose;
  const bool summarizes = request.purpose == v1::MODEL_PURPOSE_SUMMARIZE;
  if (summarizes) {
    AddItems(request.messages, state, 0, SummaryEnd(state));
    request.notice = SummaryNotice();
  } else {
    request.messages = history.Of(state, plan);
    request.earlier = plan.earlier.size();
  }
  if (summarizes) {
    // A summary needs none.
  } else if (state.model.grace) {
    request.notice = GraceNotice(state, plan);
  } else {
    for (const auto& [name, planned] : plan.tools) {
      request.tools.push_back(planned.spec);
      if (planned.spec->reads_artifacts) request.artifact_reader = name;
    }
  }
  if (plan.agent->model_settings().has_temperature()) request.temperature = plan.agent->model_settings().temperature();
  int64_t output = summarizes ? kSummaryTokensMax : OutputTokensMax(plan);
  // The reservation was cut to what the budget left; the prompt's estimate is the same as when it was made.
  const int64_t prompt = summarizes ? EstimateSummaryTokens(state, plan) : EstimatePromptTokens(state, plan) + (state.model.grace ? kGraceNoticeTokens : 0);
  if (state.model.reserved_tokens > 0) output = std::clamp<int64_t>(state.model.reserved_tokens - prompt, 1, output);
  request.max_output_tokens = static_cast<int32_t>(output);
  return request;
}

}  // namespace agentruntime
