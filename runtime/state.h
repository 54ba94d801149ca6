// The state of a run: a fold of its journal. Pure: no clock, no I/O, no randomness.
//
// QUEUED -> RUNNING <-> WAITING -> STOPPED -> QUEUED (resume); QUEUED -> STOPPED (cancel, deadline). A fork is QUEUED behind what it shares, whatever was
// there. WAITING is derived: every call that is not settled waits for a person.
//
// A call of the open step:   ready -> open -> settled          an attempt of the model:   none -> open -> decided
//                            open -> ready (definite failure, or repeatable)              open -> none (failed, or repeated after a crash)
//                            open -> uncertain -> settled, or -> waiting -> ready or settled (UNSAFE without a definite outcome)
//                            ready -> waiting -> ready or settled (a person's word comes before its first attempt)
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/id.h"
#include "runtime/artifact_ref.h"
#include "runtime/boxed.h"
#include "runtime/fifo.h"
#include "storage/types.h"

namespace agentruntime {

enum class CallPhase {
  kReady,      // to be started, or to be tried again at `retry_time`
  kOpen,       // an attempt is under way
  kUncertain,  // an UNSAFE attempt ended, nobody knows how
  kWaiting,    // for a person, until `waiting` expires
  kSettled,    // `finished` is there, for ever
};

struct CallState {
  CallId id;
  int32_t attempts = 0;        // started
  int32_t ordinal = 0;         // of all calls of the run, from 1: what max_tool_calls counts
  Epoch open_epoch = 0;        // of the open attempt
  Sequence open_sequence = 0;  // its call_started
  CallPhase phase = CallPhase::kReady;
  v1::SideEffect side_effect = v1::SIDE_EFFECT_UNSPECIFIED;  // as of the last call_started
  bool unconfirmed = false;  // an attempt of it ended, nobody knows how, and nobody was asked: its tool's calls could be repeated
  bool in_doubt = false;     // a person had it run again: an earlier attempt may have taken effect, whatever becomes of later ones that fail
  absl::Time retry_time = absl::InfinitePast();
  absl::Time attempt_time = absl::InfinitePast();  // when the open attempt began
  EventPtr waiting;                                // the last call_waiting
  EventPtr allowed;                                // the call_resolved by which a person allowed it, for all of its attempts
  EventPtr started;                                // its first call_started, until it is settled: all attempts have its key
  EventPtr finished;                               // call_finished
  EventPtr child;                                  // its first call_started, if another run answers it; else null
};

struct StepState {
  int32_t number = 0;
  EventPtr decision;  // decision_made
  std::vector<CallState> calls;
};

// What was said, in the order of the journal: input from outside, or a step.
struct InputItem {
  EventPtr event;  // run_created, run_forked, input_received or run_resumed
};
using HistoryItem = std::variant<InputItem, StepState>;

// What the model reads less of, in sequences of the journal (context_compacted).
struct Shortening {
  Sequence cleared = 0;       // results up to here are a line each
  Sequence summarized = 0;    // steps up to here are the summary's
  int64_t summary_bytes = 0;  // of that
  Sequence changed = 0;       // the last context_compacted
};

// The attempts of the model at the next step.
struct ModelState {
  bool open = false;
  int32_t attempts = 0;         // started at this step, over all legs: the number of the last one
  int32_t failures = 0;         // at this step in this leg: what attempts_max counts
  int64_t reserved_tokens = 0;  // by the open attempt
  std::optional<int64_t> reserved_cost_micros;
  Epoch open_epoch = 0;
  Sequence open_sequence = 0;  // its model_called
  absl::Time attempt_time = absl::InfinitePast();
  absl::Time retry_time = absl::InfinitePast();
  Boxed<v1::RunError> last_error;                       // of the last attempt, if it failed
  bool gave_up = false;                                 // `last_error` is final
  bool grace = false;                                   // the last attempt is of a grace step
  v1::ModelPurpose purpose = v1::MODEL_PURPOSE_DECIDE;  // of the last attempt
  bool shortened = false;                               // the context was made shorter because the model had refused it

  // It was too long for the model, whatever the estimate said.
  bool was_refused() const { return gave_up && last_error && last_error->reason() == "CONTEXT_TOO_LARGE"; }
};

// A command from outside that took effect: its retry is recognised.
struct SeenRequest {
  std::string request_id;
  std::string request_hash;
};

struct RunState {
  RunId id;
  Sequence last_sequence = 0;
  Epoch epoch = 0;
  absl::Time last_time = absl::InfinitePast();
  absl::Duration active;  // at the last event
  int64_t journal_bytes = 0;
  absl::Time not_before = absl::InfinitePast();  // it stays QUEUED until then

  v1::RunState phase = v1::RUN_STATE_UNSPECIFIED;
  EventPtr created;
  EventPtr forked;                 // the last run_forked; null: it is no fork. What is before it was done by other runs and counts all the same
  bool allow_side_effects = true;  // of calls
  v1::Limits limits;               // effective
  v1::Usage usage;                 // active_time is kept in `active`
  std::vector<HistoryItem> history;
  int64_t history_bytes = 0;     // of what the model reads: for the estimate of a prompt
  int64_t history_messages = 0;  // the same
  Shortening shortening;
  EventPtr summary;  // the context_compacted that holds it; null: there is none
  ModelState model;

  // Of the present leg.
  v1::FinishReason finish_reason = v1::FINISH_REASON_UNSPECIFIED;  // of the last decision; unspecified before the first
  bool call_uncertain = false;                                     // a call was settled UNCERTAIN
  int32_t invalid_decisions = 0;                                   // in a row, with invalid calls only
  int32_t grace_step = 0;                                          // the step that was decided as a grace step; 0: none yet
  EventPtr cancel_requested;                                       // null: not cancelling
  absl::Duration cancel_until = absl::InfiniteDuration();          // active time at which the grace ends
  absl::Time deadline = absl::InfiniteFuture();                    // of the run

  bool held = false;  // it was taken up out of a restored store: it stops
  EventPtr stopped;   // the last run_stopped
  Sequence answer_sequence = 0;
  int32_t barren_starts = 0;    // recoveries since the last progress
  int32_t awaiting_starts = 0;  // recoveries while it only waited for its children
  int32_t repeats = 0;          // steps in a row with the same calls and results, the last one counted: what max_repeats counts
  std::optional<absl::Time> start_time;
  std::vector<ArtifactRef> artifacts;  // in the order of their first appearance
  int32_t own_artifacts = 0;           // the last number that the run gave
  int64_t artifact_bytes = 0;          // of the run's own
  Fifo<SeenRequest> seen_requests;     // at most kRequestIdsPerRunMax

  // The first event of its own: run_created or run_forked.
  const v1::Event& accepted() const { return forked != nullptr ? *forked : *created; }
  // What it is executed with: agents/{agent}/revisions/{revision}.
  const std::string& agent() const { return forked != nullptr ? forked->run_forked().agent() : created->run_created().agent(); }
  int32_t priority() const { return forked != nullptr ? 0 : created->run_created().priority(); }
  // The call of another run that it answers, `runs/{run}/calls/{call}`; empty if there is none. A fork of such a run answers nothing.
  const std::string& parent_call() const;
  int32_t depth() const { return forked != nullptr ? 0 : created->run_created().depth(); }
  bool is_stopped() const { return phase == v1::RUN_STATE_STOPPED; }
  bool is_waiting() const { return phase == v1::RUN_STATE_WAITING; }
  bool is_live() const { return phase == v1::RUN_STATE_RUNNING || phase == v1::RUN_STATE_WAITING; }
  // Nothing of it is under way but runs that answer its calls: their time is not its own.
  bool awaits_children() const;
  // Its active time passes.
  bool is_active() const { return phase == v1::RUN_STATE_RUNNING && !awaits_children(); }
  bool is_cancelling() const { return cancel_requested != nullptr; }
  int32_t next_step() const { return usage.steps() + 1; }
  // A decision was made in the present leg.
  bool decided() const { return finish_reason != v1::FINISH_REASON_UNSPECIFIED; }
  // The last decision was the leg's grace step.
  bool is_grace_over() const { return grace_step > 0 && grace_step == usage.steps(); }
  // The last step, or null before the first.
  const StepState* last_step() const;
  StepState* last_step();
  // A call of the last step, or null.
  const CallState* FindCall(const CallId& call) const;
};

// Takes in the next event of the journal. Cannot fail: what the store returns was checked when it was recorded.
void Apply(RunState& state, const EventPtr& event);

// The end of step `step`, behind which a fork may begin: all of its calls are settled and nothing follows. Step 0: behind event 1, the input.
bool IsEndOfStep(const RunState& state, int32_t step);

// What the model asked for in `call`, which is of `step`.
const v1::ToolCall& RequestOf(const StepState& step, const CallState& call);

// What the call is made with: the model's arguments, or those that a person allowed instead.
const std::string& ArgumentsOf(const StepState& step, const CallState& call);

// What is booked for an attempt that nobody knows the usage of: what it reserved.
v1::Usage ReservedUsage(const ModelState& model);

// Tokens booked so far: what max_tokens counts.
int64_t BookedTokens(const RunState& state);

}  // namespace agentruntime
