#include "runtime/compaction.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "runtime/budget.h"
#include "runtime/context.h"
#include "runtime/shortening.h"

namespace agentruntime {
namespace {

// Of the steps that the model still reads.
std::vector<const StepState*> StepsRead(const RunState& state) {
  std::vector<const StepState*> steps;
  for (const HistoryItem& item : state.history) {
    const auto* const step = std::get_if<StepState>(&item);
    if (step != nullptr && !IsSummarized(state.shortening, *step)) steps.push_back(step);
  }
  return steps;
}

// Whether clearing up to `end` makes anything shorter.
bool Saves(const RunState& state, const std::vector<const StepState*>& steps, Sequence end) {
  Shortening more = state.shortening;
  more.cleared = end;
  return std::any_of(steps.begin(), steps.end(), [&](const StepState* step) {
    return std::any_of(step->calls.begin(), step->calls.end(),
                       [&](const CallState& call) { return IsCleared(more, call) && !IsCleared(state.shortening, call); });
  });
}

Sequence ClearEnd(const RunState& state) {
  const std::vector<const StepState*> steps = StepsRead(state);
  for (size_t kept = kStepsKeptByClearing; kept >= 1; --kept) {
    if (steps.size() <= kept) continue;
    const Sequence end = EndOf(*steps[steps.size() - 1 - kept]);
    if (end > state.shortening.cleared && Saves(state, steps, end)) return end;
  }
  return 0;
}

// What is in every prompt fills the window: no compaction helps, and a summary would be paid for nothing.
bool IsHopeless(const RunPlan& plan) { return EstimateStandingTokens(plan) >= plan.model->info().context_tokens; }

bool OutgrowsWindow(const RunState& state, const RunPlan& plan) {
  return EstimatePromptTokens(state, plan) + OutputTokensMax(plan) > plan.model->info().context_tokens;
}

}  // namespace

std::optional<Compaction> CompactionBeforeDecision(const RunState& state, const RunPlan& plan) {
  const v1::CompactionStrategy wanted = plan.agent->compaction();
  if (wanted == v1::COMPACTION_STRATEGY_NONE || !plan.model->info().counts_tokens) return std::nullopt;
  const bool refused = state.model.was_refused();
  const bool summary_refused = refused && state.model.purpose == v1::MODEL_PURPOSE_SUMMARIZE;
  if (refused && !summary_refused && state.model.shortened) return std::nullopt;
  if (!refused && (!OutgrowsWindow(state, plan) || IsHopeless(plan))) return std::nullopt;
  if (wanted == v1::COMPACTION_STRATEGY_SUMMARIZE && !summary_refused) {
    const Sequence end = SummaryEnd(state);
    if (end > 0 && SummaryReservation(state, plan)) return Compaction{v1::COMPACTION_STRATEGY_SUMMARIZE, end};
  }
  if (const Sequence end = ClearEnd(state); end > 0) return Compaction{v1::COMPACTION_STRATEGY_CLEAR_RESULTS, end};
  return std::nullopt;
}

// By the number of steps alone: input that comes while the summary is made changes nothing.
Sequence SummaryEnd(const RunState& state) {
  const std::vector<const StepState*> steps = StepsRead(state);
  if (steps.size() < 2) return 0;
  return EndOf(*steps[steps.size() - 1 - std::min(kStepsKeptBySummary, steps.size() - 1)]);
}

int64_t EstimateSummaryTokens(const RunState& state, const RunPlan& plan) {
  ContextSize size = CountContext(state.history, state.shortening, SummaryEnd(state));
  size.bytes += static_cast<int64_t>(plan.agent->instructions().size() + SummaryNotice().size());
  size.messages += 2;  // instructions, notice
  return TokensOf(size);
}

const std::string& SummaryNotice() {
  static const std::string& notice = *new std::string(
      "[The conversation has outgrown what you can read at once. Write a summary of the steps above for yourself: it replaces them. Keep what was asked, what "
      "was "
      "found out with exact names, numbers and sources, what was done and must not be done again, what failed, and what is left to do. Call no tool.]");
  return notice;
}

v1::Event ResultsCleared(const RunState& state, Sequence up_to) {
  v1::Event fact;
  fact.set_step(state.next_step());
  fact.mutable_context_compacted()->set_up_to_sequence(up_to);
  fact.mutable_context_compacted()->set_strategy(v1::COMPACTION_STRATEGY_CLEAR_RESULTS);
  return fact;
}

std::string SummaryIn(const v1::Decision& decision) {
  std::string text;
  for (const v1::Part& part : decision.content()) absl::StrAppend(&text, text.empty() ? "" : "\n", part.text());
  return std::string(CutUtf8(MakeValidUtf8(text), kSummaryBytesMax));
}

}  // namespace agentruntime
