#include "runtime/stop.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "runtime/act.h"
#include "runtime/ask.h"
#include "runtime/budget.h"
#include "runtime/compaction.h"
#include "runtime/context.h"
#include "runtime/due.h"
#include "runtime/finished.h"
#include "runtime/grant.h"

namespace agentruntime {
namespace {

// Room that a stop and the settlements before it may need beyond the bounds: one step with every call attempted and answered.
// Arguments of a person are in the answer and in each attempt.
constexpr int64_t kCallEventsMax = 2 * kToolAttemptsMax + 5;
constexpr int64_t kCallBytesMax = kResultBytesMax + 8192;
constexpr int64_t kAllowedBytesMax = kAllowedArgumentsBytesMax * (1 + kToolAttemptsMax);
// Of a run that is taken up, cancelled, taken up once more and stopped, beside what its calls bring.
constexpr int64_t kEndEvents = 4;
constexpr int64_t kEndBytesMax = 16 << 10;
constexpr int64_t kJournalBytesReserve = kEventBytesMax + kCallsPerDecisionMax * kCallBytesMax + kAllowedBytesMax + kEndBytesMax;
constexpr int64_t kEventsReserve = kEndEvents + kCallsPerDecisionMax * kCallEventsMax + 2 * kModelAttemptsMax;

v1::Event FactOfRun(const RunState& state) {
  v1::Event fact;
  fact.set_step(state.usage.steps());
  return fact;
}

v1::Event Started(const RunState& state, v1::StartCause cause) {
  v1::Event fact = FactOfRun(state);
  fact.mutable_run_started()->set_cause(cause);
  return fact;
}

v1::Event SettledByStop(const CallState& call) {
  const bool unsafe = call.side_effect != v1::SIDE_EFFECT_READ_ONLY && call.side_effect != v1::SIDE_EFFECT_IDEMPOTENT;
  if (call.in_doubt && call.phase != CallPhase::kSettled) {
    return FinishedUncertain(call.id, "uncertain: an earlier attempt may have taken effect, and the run stopped before another did");
  }
  switch (call.phase) {
    case CallPhase::kReady:
      if (call.attempts == 0) return FinishedWithText(call.id, v1::CALL_OUTCOME_NOT_RUN, "not run: the run stopped first");
      return FinishedWithText(call.id, v1::CALL_OUTCOME_CANCELLED, "cancelled: the run stopped before it was tried again");
    case CallPhase::kOpen:
      if (!unsafe) return FinishedWithText(call.id, v1::CALL_OUTCOME_CANCELLED, "cancelled: the run stopped while it was under way");
      [[fallthrough]];
    case CallPhase::kUncertain:
    case CallPhase::kWaiting:
      // What waits for a person's word before its first attempt has certainly taken no effect.
      if (call.attempts == 0) return FinishedWithText(call.id, v1::CALL_OUTCOME_NOT_RUN, "not run: the run stopped while it waited for a person");
      return FinishedUncertain(call.id, "uncertain: it was started, and nobody knows whether it took effect");
    case CallPhase::kSettled: break;
  }
  return v1::Event();
}

v1::Stop MakeStop(v1::StopReason reason, std::string detail, bool resumable) {
  v1::Stop stop;
  stop.set_reason(reason);
  stop.set_detail(std::move(detail));
  stop.set_resumable(resumable);
  return stop;
}

v1::Stop ErrorStop(v1::RunError error, bool resumable) {
  v1::Stop stop = MakeStop(v1::STOP_REASON_ERROR, error.message(), resumable);
  *stop.mutable_error() = std::move(error);
  return stop;
}

// `remedy` is for people who go on with the run. Nobody goes on with one that answers a call: its stop is told to the model of its parent.
v1::Stop ErrorStop(const RunState& state, absl::string_view reason, std::string cause, absl::string_view remedy, bool resumable = true) {
  v1::RunError error;
  error.set_reason(std::string(reason));
  error.set_message(state.parent_call().empty() ? absl::StrCat(cause, "; ", remedy) : std::move(cause));
  return ErrorStop(std::move(error), resumable);
}

v1::Stop CancelStop(const RunState& state) {
  const v1::Cancellation& cancellation = state.cancel_requested->cancel_requested().cancellation();
  std::string detail = absl::StrCat("cancelled by ", cancellation.principal());
  if (!cancellation.cause().empty()) absl::StrAppend(&detail, ": ", cancellation.cause());
  v1::Stop stop = MakeStop(v1::STOP_REASON_CANCELLED, std::move(detail), /*resumable=*/true);
  *stop.mutable_cancellation() = cancellation;
  return stop;
}

v1::Stop TimeoutStop(const RunState& state, absl::Duration active) {
  const absl::Duration timeout = FromProto(state.limits.timeout());
  return LimitStop(v1::STOP_REASON_TIMEOUT, "timeout", absl::ToInt64Milliseconds(timeout), absl::ToInt64Milliseconds(active),
                   absl::StrCat("the run was active for ", absl::FormatDuration(absl::Trunc(active, absl::Milliseconds(1))), ", its timeout is ",
                                absl::FormatDuration(timeout)));
}

v1::Stop DeadlineStop(const RunState& state, absl::Time now) {
  return LimitStop(v1::STOP_REASON_TIMEOUT, "deadline", absl::ToUnixMillis(state.deadline), absl::ToUnixMillis(now),
                   absl::StrCat("the run's deadline was ", absl::FormatTime(absl::RFC3339_sec, state.deadline, absl::UTCTimeZone())));
}

// The stop that the last decision asks for by itself, if any.
std::optional<v1::Stop> DecidedStop(const RunState& state, const RunPlan& plan) {
  const StepState* const step = state.last_step();
  if (step == nullptr || !step->calls.empty()) return std::nullopt;
  // A grace step answers, but it is the limit that ends the run, so that it can be resumed.
  if (state.is_grace_over() && plan.model != nullptr) {
    if (auto stop = LimitBeforeDecision(state, plan)) return stop;
  }
  switch (state.finish_reason) {
    case v1::FINISH_REASON_ANSWER:
      return MakeStop(v1::STOP_REASON_FINAL_ANSWER, absl::StrCat("the model answered at step ", step->number), /*resumable=*/false);
    case v1::FINISH_REASON_LENGTH:
      return ErrorStop(state, "MODEL_OUTPUT_TRUNCATED", "the model's answer was cut at its output limit", "raise model_settings.max_output_tokens");
    case v1::FINISH_REASON_FILTERED:
      return ErrorStop(state, "MODEL_FILTERED", "the provider withheld the model's answer",
                       "change what it was asked (ForkRun with other input), or resume to ask again");
    case v1::FINISH_REASON_TOOL_CALLS:
    case v1::FINISH_REASON_UNSPECIFIED:
    default: return std::nullopt;
  }
}

// What went wrong and forbids another decision.
std::optional<v1::Stop> ErrorBeforeDecision(const RunState& state, const RunPlan& plan) {
  if (state.model.gave_up) return ErrorStop(*state.model.last_error, /*resumable=*/true);
  if (state.call_uncertain && plan.agent->on_uncertain_call() == v1::UNCERTAIN_CALL_ACTION_STOP) {
    return ErrorStop(state, "CALL_UNCERTAIN", "nobody knows whether a call took effect, and the agent stops then", "check it, then resume");
  }
  if (state.invalid_decisions >= kInvalidDecisionsMax) {
    return ErrorStop(state, "MODEL_INVALID_CALLS", absl::StrCat("the model made ", kInvalidDecisionsMax, " decisions in a row with invalid calls only"),
                     "fork the run with a corrected agent, or resume it with input that says what is wrong");
  }
  if (plan.model == nullptr) {
    return ErrorStop(state, "MODEL_MISSING", absl::StrCat("model \"", plan.agent->model(), "\" is not configured on this server any more"),
                     "configure it, then resume");
  }
  if (LacksPrice(state.limits, plan)) {
    return ErrorStop(state, "MODEL_UNPRICED",
                     absl::StrCat("the run has a budget of money, and model \"", plan.agent->model(), "\" has no price on this server any more"),
                     "configure one, then resume");
  }
  return std::nullopt;
}

v1::Stop JournalFullStop(const RunState& state) {
  return ErrorStop(state, "JOURNAL_FULL",
                   absl::StrCat("the journal holds ", state.last_sequence, " events and ", state.journal_bytes, " bytes; at most ", kEventsMax, " events and ",
                                kJournalBytesMax, " bytes are kept"),
                   state.created->run_created().conversation().empty() ? "fork the run from an earlier step"
                                                                       : "fork the run from an earlier step, or submit a new one of its conversation",
                   /*resumable=*/false);
}

// Bounds of ours, behind those that the caller chose.
std::optional<v1::Stop> JournalBound(const RunState& state) { return HasRoomForDecision(state, 0, 0) ? std::nullopt : std::optional(JournalFullStop(state)); }

// Whether a run that is about to be taken up may go on with its open calls: each may begin anew, whatever it has been through, and end as dearly as any.
bool HasRoomToGoOn(const RunState& state) {
  int64_t open = 0;
  if (const StepState* const step = state.last_step()) {
    open = std::count_if(step->calls.begin(), step->calls.end(), [](const CallState& call) { return call.phase != CallPhase::kSettled; });
  }
  const int64_t bytes = kEndBytesMax + open * kCallBytesMax + (open > 0 ? kAllowedBytesMax : 0);
  return state.last_sequence + kEndEvents + open * kCallEventsMax <= kEventsMax && state.journal_bytes + bytes <= kJournalBytesMax;
}

std::optional<v1::Stop> WindowBound(const RunState& state, const RunPlan& plan) {
  if (!plan.model->info().counts_tokens) return std::nullopt;
  const int64_t prompt = EstimatePromptTokens(state, plan);
  if (prompt < plan.model->info().context_tokens) return std::nullopt;
  return ErrorStop(
      state, "CONTEXT_TOO_LARGE",
      absl::StrCat(
          "the conversation is about ", prompt, " tokens, the window of model \"", plan.agent->model(), "\" holds ", plan.model->info().context_tokens,
          plan.earlier.empty() ? "" : absl::StrCat("; earlier runs, which are kept whole, and what is always there take ", EstimateStandingTokens(plan))),
      "fork the run from an earlier step, or resume it once its model has a larger context_tokens");
}

v1::Event ModelCalled(const RunState& state, const RunPlan& plan, const Reservation& reservation) {
  v1::Event fact;
  fact.set_step(state.next_step());
  v1::ModelCalled* const called = fact.mutable_model_called();
  called->set_attempt(state.model.attempts + 1);
  called->set_model(plan.agent->model());
  called->set_reserved_tokens(reservation.tokens);
  if (reservation.cost_micros) called->set_reserved_cost_micros(*reservation.cost_micros);
  return fact;
}

v1::Event DecisionCalled(const RunState& state, const RunPlan& plan, bool grace) {
  v1::Event fact = ModelCalled(state, plan, ReservationOf(state, plan, grace));
  fact.mutable_model_called()->set_grace_step(grace);
  return fact;
}

v1::Event Compacting(const RunState& state, const RunPlan& plan, const Compaction& compaction) {
  if (compaction.strategy != v1::COMPACTION_STRATEGY_SUMMARIZE) return ResultsCleared(state, compaction.up_to);
  v1::Event fact = ModelCalled(state, plan, *SummaryReservation(state, plan));
  fact.mutable_model_called()->set_purpose(v1::MODEL_PURPOSE_SUMMARIZE);
  return fact;
}

void WakeAt(Next& next, absl::Duration delay) {
  delay = std::max(delay, absl::ZeroDuration());
  if (!next.wake || delay < *next.wake) next.wake = delay;
}

void WakeAt(Next& next, absl::Time at, Instant now) {
  WakeAt(next, at - now.wall);
  next.waits_for_clock = true;
}

// Repeatable attempts end without anybody asking how. That holds while the tool is one whose calls may be repeated: an operator may have learnt meanwhile
// that it is not.
bool IsUncertain(const RunPlan& plan, const StepState& step, const CallState& call) {
  if (!call.unconfirmed || call.child != nullptr) return false;
  const auto planned = plan.tools.find(RequestOf(step, call).tool());
  return planned != plan.tools.end() && planned->second.spec->side_effect == v1::SIDE_EFFECT_UNSAFE;
}

v1::Event FactOfUncertain(const RunPlan& plan, const StepState& step, const CallState& call, absl::Time now) {
  if (plan.agent->on_uncertain_call() == v1::UNCERTAIN_CALL_ACTION_ASK) return QuestionAboutUncertain(plan, step, call, now);
  return FinishedUncertain(call.id, "uncertain: the call was started and its outcome is unknown; it may have taken effect. Check before you repeat it.");
}

// What the calls of the last step need; an empty Next when all are settled.
Next NextOfCalls(const RunState& state, const RunPlan& plan, Instant now) {
  Next next;
  const StepState* const step = state.last_step();
  if (step == nullptr) return next;
  for (const CallState& call : step->calls) {
    switch (call.phase) {
      case CallPhase::kSettled: break;
      case CallPhase::kUncertain: next.facts.push_back(FactOfUncertain(plan, *step, call, now.wall)); break;
      case CallPhase::kWaiting:
        if (IsExpiryDue(ExpiryOf(call), now.wall)) {
          for (v1::Event& fact : FactsOfAnswer(call, DefaultAnswer(call))) next.facts.push_back(std::move(fact));
        } else {
          WakeAt(next, ExpiryOf(call), now);
        }
        break;
      case CallPhase::kOpen: next.effects.push_back(Effect{call.id, call.attempts, call.open_sequence}); break;
      case CallPhase::kReady:
        if (call.attempts == 0 && call.ordinal > state.limits.max_tool_calls()) {
          next.facts.push_back(FinishedWithText(call.id, v1::CALL_OUTCOME_NOT_RUN,
                                                absl::StrCat("not run: the run's limit of ", state.limits.max_tool_calls(), " tool calls is reached")));
        } else if (!IsRetryDue(call.retry_time, now.wall)) {
          WakeAt(next, call.retry_time, now);
        } else if (IsUncertain(plan, *step, call)) {
          next.facts.push_back(FactOfUncertain(plan, *step, call, now.wall));
        } else {
          next.facts.push_back(StartOfCall(state, plan, *step, call, now.wall));
        }
        break;
    }
  }
  return next;
}

bool AnythingOpen(const RunState& state) {
  if (state.model.open) return true;
  const StepState* const step = state.last_step();
  return step != nullptr && std::any_of(step->calls.begin(), step->calls.end(), [](const CallState& call) { return call.phase == CallPhase::kOpen; });
}

Next OpenAttempts(const RunState& state) {
  Next next;
  if (state.model.open) next.effects.push_back(Effect{CallId{}, state.model.attempts, state.model.open_sequence});
  if (const StepState* const step = state.last_step()) {
    for (const CallState& call : step->calls) {
      if (call.phase == CallPhase::kOpen) next.effects.push_back(Effect{call.id, call.attempts, call.open_sequence});
    }
  }
  return next;
}

}  // namespace

bool HasRoomForDecision(const RunState& state, int64_t events, int64_t bytes) {
  return state.last_sequence + events + kEventsReserve <= kEventsMax && state.journal_bytes + bytes + kJournalBytesReserve <= kJournalBytesMax;
}

std::vector<v1::Event> StopFacts(const RunState& state, v1::Stop stop) {
  std::vector<v1::Event> facts;
  if (state.model.open) {
    v1::Event fact;
    fact.set_step(state.next_step());
    v1::ModelFailed* const failed = fact.mutable_model_failed();
    failed->set_attempt(state.model.attempts);
    failed->mutable_error()->set_reason("INTERRUPTED");
    failed->mutable_error()->set_message("the run stopped while the model was asked");
    *failed->mutable_usage() = ReservedUsage(state.model);
    facts.push_back(std::move(fact));
  }
  if (const StepState* const step = state.last_step()) {
    for (const CallState& call : step->calls) {
      if (call.phase == CallPhase::kSettled) continue;
      facts.push_back(SettledByStop(call));
      if (call.child != nullptr) *facts.back().mutable_call_finished()->mutable_usage() = GrantedUsage(call);  // nobody waits for what it used
    }
  }
  if (!state.parent_call().empty()) stop.set_resumable(false);  // it is the parent's result
  v1::Event fact = FactOfRun(state);
  *fact.mutable_run_stopped()->mutable_stop() = std::move(stop);
  facts.push_back(std::move(fact));
  return facts;
}

namespace {

Next NextOf(const RunState& state, const RunPlan& plan, Epochs epochs, Instant now);

// `run_started`. Starts are bounded by nothing that looks at the journal, and each may begin every open call anew. Where it has no room for that the run stops,
// in the same append: a server that ends between the two could come back for ever.
Next TakenUp(const RunState& state, const RunPlan& plan, v1::StartCause cause, Epochs epochs, Instant now) {
  Next next;
  next.facts.push_back(Started(state, cause));
  if (HasRoomToGoOn(state)) return next;
  v1::Event event = next.facts.back();
  event.set_sequence(state.last_sequence + 1);
  *event.mutable_time() = ToProto(state.last_time);
  event.set_active_us(absl::ToInt64Microseconds(state.active));
  event.set_epoch(epochs.current);
  RunState taken = state;
  Apply(taken, std::make_shared<const v1::Event>(std::move(event)));
  Next then = NextOf(taken, plan, epochs, now);
  const bool stops = !then.facts.empty() && then.facts.back().has_run_stopped();
  for (v1::Event& fact : stops ? then.facts : StopFacts(taken, JournalFullStop(taken))) next.facts.push_back(std::move(fact));
  return next;
}

// All but the wake for the deadline.
Next NextOf(const RunState& state, const RunPlan& plan, Epochs epochs, Instant now) {
  Next next;
  if (state.is_stopped()) return next;
  if (state.phase == v1::RUN_STATE_QUEUED && state.is_cancelling()) {
    next.facts = StopFacts(state, CancelStop(state));
    return next;
  }
  if (IsToBeHeld(state, epochs)) return TakenUp(state, plan, v1::START_CAUSE_RESTORED, epochs, now);
  if (state.phase == v1::RUN_STATE_QUEUED && state.deadline <= now.wall) {
    next.facts = StopFacts(state, DeadlineStop(state, now.wall));
    return next;
  }
  if (state.phase == v1::RUN_STATE_QUEUED && now.wall < state.not_before) {
    WakeAt(next, state.not_before, now);
    return next;
  }
  if (state.phase == v1::RUN_STATE_QUEUED || state.epoch < epochs.current) {
    return TakenUp(state, plan, state.phase == v1::RUN_STATE_QUEUED ? v1::START_CAUSE_FIRST : v1::START_CAUSE_RECOVERED, epochs, now);
  }
  if (state.is_cancelling()) {
    if (!AnythingOpen(state) || now.active >= state.cancel_until) {
      next.facts = StopFacts(state, CancelStop(state));
      return next;
    }
    next = OpenAttempts(state);
    WakeAt(next, state.cancel_until - now.active);
    return next;
  }
  if (state.held) {
    next.facts = StopFacts(state, ErrorStop(state, "RESTORED",
                                            "the store is a restored copy, and the run was unfinished in it; what it did since the copy was made is not known "
                                            "here",
                                            "check that it does not go on elsewhere, then resume it"));
    return next;
  }
  if (state.barren_starts > kBarrenStartsMax) {
    next.facts =
        StopFacts(state, ErrorStop(state, "RECOVERY_LIMIT",
                                   absl::StrCat("the run was taken up ", state.barren_starts, " times without progress; it may be what ends the server"),
                                   "look at its log, then resume the run"));
    return next;
  }
  if (auto stop = DecidedStop(state, plan)) {
    next.facts = StopFacts(state, *std::move(stop));
    return next;
  }
  if (state.deadline <= now.wall) {
    next.facts = StopFacts(state, DeadlineStop(state, now.wall));
    return next;
  }
  const absl::Duration timeout = FromProto(state.limits.timeout());
  if (now.active >= timeout) {
    next.facts = StopFacts(state, TimeoutStop(state, now.active));
    return next;
  }
  next = NextOfCalls(state, plan, now);
  if (!next.facts.empty()) {
    next.effects.clear();
    next.wake.reset();
    next.waits_for_clock = false;
    return next;
  }
  if (!next.effects.empty() || next.wake) {
    if (state.is_active()) WakeAt(next, timeout - now.active);  // waiting for a person, or for other runs alone, is no active time
    return next;
  }
  if (state.model.open) {
    next = OpenAttempts(state);
    WakeAt(next, timeout - now.active);
    return next;
  }
  if (!state.model.gave_up && !IsRetryDue(state.model.retry_time, now.wall)) {
    WakeAt(next, state.model.retry_time, now);
    WakeAt(next, timeout - now.active);
    return next;
  }
  // A grace step that failed for good changes nothing: the limit was met before it.
  if (state.model.gave_up && state.model.grace && plan.model != nullptr) {
    if (auto stop = LimitBeforeDecision(state, plan)) {
      next.facts = StopFacts(state, *std::move(stop));
      return next;
    }
  }
  const std::optional<Compaction> compaction = plan.model == nullptr ? std::nullopt : CompactionBeforeDecision(state, plan);
  // A context that the model refused as too long and that can be made shorter is no error yet.
  if (!compaction || !state.model.was_refused()) {
    if (auto stop = ErrorBeforeDecision(state, plan)) {
      next.facts = StopFacts(state, *std::move(stop));
      return next;
    }
  }
  auto limit = LimitBeforeDecision(state, plan);
  auto bound = JournalBound(state);
  if (!bound && (limit || !compaction)) bound = WindowBound(state, plan);
  // A model that refused this context would refuse a grace step in it as well, and there is no room to make it shorter first.
  if (limit && (bound || state.model.gave_up || !HasGraceStep(state, plan))) {
    next.facts = StopFacts(state, *std::move(limit));
  } else if (bound) {
    next.facts = StopFacts(state, *std::move(bound));
  } else if (!limit && compaction) {
    next.facts.push_back(Compacting(state, plan, *compaction));
  } else {
    next.facts.push_back(DecisionCalled(state, plan, /*grace=*/limit.has_value()));
  }
  return next;
}

}  // namespace

Next WhatNext(const RunState& state, const RunPlan& plan, Epochs epochs, Instant now) {
  Next next = NextOf(state, plan, epochs, now);
  // A cancel ends by its grace: at the deadline nothing happens then, and what is past would be woken for again and again.
  const bool ends_then = !state.is_stopped() && !state.is_cancelling() && state.deadline < absl::InfiniteFuture();
  if (next.facts.empty() && ends_then) WakeAt(next, state.deadline, now);
  return next;
}

}  // namespace agentruntime
