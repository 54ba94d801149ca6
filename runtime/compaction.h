// How a context that has outgrown the model's window is made shorter. Pure.
//
//   CLEAR_RESULTS   results of old steps become a line each, behind which artifacts are still named; decisions, calls and inputs stay, each call with the place
//   of its result SUMMARIZE       old steps become the model's own summary of them; inputs stay
//
// Each ends at the end of a step and shortens what the one before left: there is an end of them. The journal keeps everything. Earlier runs of the conversation
// are kept whole, as inputs are: neither way touches them, and a summary is not made of them. Where they fill the window by themselves the run stops
// (CONTEXT_TOO_LARGE).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agentruntime/v1/event.pb.h"
#include "runtime/plan.h"
#include "runtime/state.h"

namespace agentruntime {

// The newest steps that a compaction leaves alone, as long as there is something before them; the last one always.
inline constexpr size_t kStepsKeptByClearing = 4;
inline constexpr size_t kStepsKeptBySummary = 2;

struct Compaction {
  v1::CompactionStrategy strategy = v1::COMPACTION_STRATEGY_NONE;
  Sequence up_to = 0;
};

// The compaction that comes before the next decision; nullopt where none is needed, the agent wants none, or nothing can be made shorter.
// It is needed where the prompt and the most that may be written behind it do not fit into the window, and once where the model refused a context as too long.
// SUMMARIZE becomes CLEAR_RESULTS where the old steps do not fit into a request by themselves, or the budgets leave no room for a summary.
std::optional<Compaction> CompactionBeforeDecision(const RunState& state, const RunPlan& plan);

// Where the steps of a summary that is made now end; 0: there are none.
Sequence SummaryEnd(const RunState& state);
// Tokens that the request for it reads, about.
int64_t EstimateSummaryTokens(const RunState& state, const RunPlan& plan);
// What the model is asked for, behind those steps.
const std::string& SummaryNotice();

// `context_compacted` of results.
v1::Event ResultsCleared(const RunState& state, Sequence up_to);
// What an attempt to summarize brought: the text, at most kSummaryBytesMax of it; "" if there is none.
std::string SummaryIn(const v1::Decision& decision);

}  // namespace agentruntime
