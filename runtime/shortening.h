// What of a run's history the model still reads, and how much that is. Pure.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "runtime/models/messages.h"
#include "runtime/state.h"

namespace agentruntime {

// The last event of a step whose calls are settled.
Sequence EndOf(const StepState& step);
bool IsSummarized(const Shortening& shortening, const StepState& step);
// Its result is a line; short results stay as they are.
bool IsCleared(const Shortening& shortening, const CallState& call);
// What stands for a result: a line, and the names of the artifacts that hold what was too large for it, so that they can still be read.
Parts ClearedResult(const Parts& result);

// What the model reads behind the result of a call that a person gave other arguments; empty if nobody did.
std::string AllowedNote(const CallState& call);
int64_t AllowedNoteBytes(const CallState& call);

// What a person said in `event`: run_created, run_forked, input_received or run_resumed.
const Parts& InputOf(const v1::Event& event);
int64_t TextBytes(const Parts& parts);

struct ContextSize {
  int64_t bytes = 0;
  int64_t messages = 0;
};
// Of what is up to `end`; a summary that is there is counted.
ContextSize CountContext(const std::vector<HistoryItem>& history, const Shortening& shortening, Sequence end = std::numeric_limits<Sequence>::max());
// Four bytes a token, and what each message costs.
int64_t TokensOf(const ContextSize& size);

}  // namespace agentruntime
