// What is next: stop, decide, act on these calls, or wait. A pure function of the state and of the time; recovery and live running share it.
#pragma once

#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "proto/base/planted_bug.h"
#include "runtime/plan.h"
#include "runtime/state.h"

namespace agentruntime {

// A moment in the life of one run.
struct Instant {
  absl::Time wall;
  absl::Duration active;  // of the run, up to now
};

// An attempt whose intent is recorded and which is to be under way.
struct Effect {
  CallId call;  // {0, 0}: the model
  int32_t attempt = 0;
  Sequence sequence = 0;  // of its intent: an attempt that is not local starts when this is durable

  bool is_model() const { return call.step == 0; }
};

// Either facts to record at once, as one append, or effects to keep under way and a time to look again. Facts have their kind and step only.
struct Next {
  std::vector<v1::Event> facts;
  std::vector<Effect> effects;
  std::optional<absl::Duration> wake;  // from now
  bool waits_for_clock = false;        // for an instant of the wall clock (due.h)
};

// Of the store that this server has open.
struct Epochs {
  Epoch current = 0;
  // Of the opening that made it a restored copy; 0: it is none. A run whose last event is older may have gone on elsewhere: it stops, for a person to resume.
  Epoch restored = 0;
};

// Tests in this order, and the first that holds decides: start (not before its time), cancel, restored store, recoveries, final answer, deadline, timeout, open
// calls, open model attempt, errors, cost, tokens, tool calls, steps, loop, bounds of the journal, compaction (compaction.h), the model's
// window; else the model is called. A limit that is met may be met by a grace step (budget.h).
Next WhatNext(const RunState& state, const RunPlan& plan, Epochs epochs, Instant now);

// The run was unfinished when the store was copied, and nothing is recorded of it since. Any event would hide that, so the stop comes first.
inline bool IsToBeHeld(const RunState& state, Epochs epochs) {
  return !state.is_stopped() && state.epoch < epochs.restored && !IsPlanted(Bug::kIgnoreRestored);
}

// The run is live, and this server has not said so yet, or it is to be held: `run_started` comes before anything else, commands included. Until then attempts
// of the server before look as if they were under way.
inline bool IsToBeTakenUp(const RunState& state, Epochs epochs) { return (state.is_live() && state.epoch < epochs.current) || IsToBeHeld(state, epochs); }

// Whether the journal, with so many events and bytes more, leaves room for another decision and all that it may bring.
bool HasRoomForDecision(const RunState& state, int64_t events, int64_t bytes);

// Facts that settle everything open and stop the run, as one append.
std::vector<v1::Event> StopFacts(const RunState& state, v1::Stop stop);

}  // namespace agentruntime
