// Ask: calls that wait for a person, and what an answer becomes. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "runtime/plan.h"
#include "runtime/state.h"

namespace agentruntime {

// An answer, and who gave it.
struct Resolution {
  v1::CallAnswer answer;
  std::string principal;
  std::string request_id;
  std::string request_hash;
  bool expired = false;  // nobody: the default
};

// `call_waiting` of an uncertain call of `step`, until the agent's `call_wait` from `now`.
v1::Event QuestionAboutUncertain(const RunPlan& plan, const StepState& step, const CallState& call, absl::Time now);

// `call_waiting` of a call that is ready and that a person's word comes before: a question to a person by itself, or one of the agent's `approve_tools` that
// nobody has allowed yet. nullopt: it may be started. Its arguments are valid, and its tool is in the plan.
std::optional<v1::Event> QuestionBeforeCall(const RunPlan& plan, const StepState& step, const CallState& call, absl::Time now);

// Which answers fit a call that waits:
//
//                run_again  result  give_up  allow  deny      expires as
//   UNCERTAIN    yes        yes     yes      -      -         give_up
//   APPROVAL     -          yes     -        yes    yes       deny
//   QUESTION     -          yes     yes      -      -         give_up
bool Fits(v1::WaitKind kind, v1::CallAnswer::KindCase answer);

// OK unless the answer does not fit what the call, which waits, waits for (AnswerUnfit), or its arguments do not fit the tool, or are too many
// (INVALID_ARGUMENT, `answer.allow.arguments`).
absl::Status CheckAnswer(const RunState& state, const RunPlan& plan, const CallState& call, const v1::CallAnswer& answer);

// `call_resolved`, and behind it the `call_finished` that settles the call, unless it is to be started. One append.
std::vector<v1::Event> FactsOfAnswer(const CallState& call, Resolution resolution);

// The answer that holds when a wait expires: as its `call_waiting` says.
Resolution DefaultAnswer(const CallState& call);

// When the wait of `call`, which waits, expires.
absl::Time ExpiryOf(const CallState& call);
// The first of all calls of a live run that wait; InfiniteFuture if none does.
absl::Time FirstExpiryOf(const RunState& state);

// The calls of a run that wait, as callers see them.
std::vector<v1::WaitingCall> WaitingCallsOf(const RunState& state);

}  // namespace agentruntime
