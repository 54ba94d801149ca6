// What the model reads: messages out of the state, and an estimate of their size in tokens.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "runtime/models/model.h"
#include "runtime/plan.h"
#include "runtime/state.h"

namespace agentruntime {

// The messages of a run, kept between its steps: each step adds what happened in it, however long the run is; a compaction builds them anew, once.
class MessageHistory {
 public:
  // Of a state in which the calls of every step are settled. Later states of the same run only.
  const Messages& Of(const RunState& state, const RunPlan& plan);

 private:
  Messages messages_;
  size_t items_ = 0;      // of the state's history that are in `messages_`, or in the summary
  Sequence changed_ = 0;  // the compaction that they are built by
};

// The request of the open model attempt. Points into the events of `state`; nothing is copied but the instructions.
ModelRequest BuildModelRequest(const RunState& state, const RunPlan& plan, MessageHistory& history);

// What a summary begins with, as the model reads it.
inline constexpr absl::string_view kSummaryHead = "[Summary of earlier steps, which are not shown any more]\n";

// What a grace step's notice takes of the prompt, at most.
inline constexpr int64_t kGraceNoticeTokens = 96;

// Estimate of what is in every prompt of the run: instructions, tools, earlier runs of the conversation. O(tools).
int64_t EstimateStandingTokens(const RunPlan& plan);

// Estimate of the next prompt: four bytes a token, plus what each message and tool costs. O(tools).
int64_t EstimatePromptTokens(const RunState& state, const RunPlan& plan);

// Most tokens the next decision may write, by the agent's setting and the model's window; at least 1.
int64_t OutputTokensMax(const RunPlan& plan);

}  // namespace agentruntime
