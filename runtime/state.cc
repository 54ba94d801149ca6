#include "runtime/state.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "proto/base/planted_bug.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/context.h"
#include "runtime/repeats.h"
#include "runtime/shortening.h"

namespace agentruntime {
namespace {

// New ones only: what was kept before is named again.
void NoteArtifacts(RunState& state, const google::protobuf::RepeatedPtrField<v1::Part>& parts) {
  for (const v1::Part& part : parts) {
    if (!part.has_artifact()) continue;
    const auto name = ParseArtifactName(part.artifact().name());
    if (!name) continue;
    const bool own = name->run == state.id;
    const auto same = [&](const ArtifactRef& ref) { return ref.name.run == name->run && ref.name.number == name->number; };
    if (own ? name->number <= state.own_artifacts : std::any_of(state.artifacts.begin(), state.artifacts.end(), same)) continue;
    state.artifacts.push_back({*name, part.artifact().bytes()});
    if (!own) continue;
    state.own_artifacts = name->number;
    state.artifact_bytes += part.artifact().bytes();
  }
}

void AddUsage(v1::Usage& total, const v1::Usage& more) {
  total.set_input_tokens(total.input_tokens() + more.input_tokens());
  total.set_cached_input_tokens(total.cached_input_tokens() + more.cached_input_tokens());
  total.set_output_tokens(total.output_tokens() + more.output_tokens());
  // What is known: attempts made while the model had no price are not in it.
  if (more.has_cost_micros()) total.set_cost_micros(total.cost_micros() + more.cost_micros());
}

void Raise(v1::Limits& limits, const v1::Limits& by) {
  limits.MergeFrom(by);  // set fields replace, unset ones stay; a Duration that is set is replaced whole
  if (by.has_timeout()) *limits.mutable_timeout() = by.timeout();
}

void Remember(RunState& state, const std::string& request_id, const std::string& request_hash) {
  if (request_id.empty()) return;
  state.seen_requests.push_back({request_id, request_hash});
  if (static_cast<int32_t>(state.seen_requests.size()) > kRequestIdsPerRunMax) state.seen_requests.pop_front();
}

void ApplyCreated(RunState& state, const EventPtr& event) {
  state.created = event;
  state.phase = v1::RUN_STATE_QUEUED;
  state.limits = event->run_created().limits();
  if (event->run_created().has_not_before_time()) state.not_before = FromProto(event->run_created().not_before_time());
  if (event->run_created().has_deadline()) state.deadline = FromProto(event->run_created().deadline());
  state.history.emplace_back(InputItem{event});
  state.history_bytes += TextBytes(event->run_created().input());
  ++state.history_messages;
}

// What a new leg begins without.
void BeginLeg(RunState& state) {
  state.phase = v1::RUN_STATE_QUEUED;
  state.finish_reason = v1::FINISH_REASON_UNSPECIFIED;
  state.call_uncertain = false;
  state.invalid_decisions = 0;
  state.grace_step = 0;
  state.answer_sequence = 0;
  state.barren_starts = 0;
}

// A new run: of what is shared it keeps what the model reads and what is counted, and nothing of how its source was started, stopped, cancelled or commanded.
void ApplyForked(RunState& state, const EventPtr& event) {
  const v1::RunForked& forked = event->run_forked();
  BeginLeg(state);
  state.forked = event;
  // What is shared was kept by other runs, whatever the run was called while it was folded.
  state.own_artifacts = 0;
  state.artifact_bytes = 0;
  state.allow_side_effects = forked.allow_side_effects();
  state.limits = forked.limits();
  state.not_before = absl::InfinitePast();
  state.deadline = forked.has_deadline() ? FromProto(forked.deadline()) : absl::InfiniteFuture();
  if (forked.input_size() > 0) {
    state.history.emplace_back(InputItem{event});
    state.history_bytes += TextBytes(forked.input());
    ++state.history_messages;
  }
  state.model = ModelState();
  state.cancel_requested = nullptr;
  state.cancel_until = absl::InfiniteDuration();
  state.held = false;
  state.stopped = nullptr;
  state.start_time.reset();
  state.seen_requests = {};
  state.repeats = 0;
}

// Attempts that an earlier epoch left open: repeatable ones are ready again, the model's reservation is booked, UNSAFE calls are uncertain.
void ApplyStarted(RunState& state, const EventPtr& event) {
  // A run that only waits for its children is hardly what ends a server, however often it ends while they work. Hardly: a child's answer may be what does.
  const bool counts = !state.awaits_children() || ++state.awaiting_starts % kAwaitingStartsShare == 0;
  state.phase = v1::RUN_STATE_RUNNING;
  if (!state.start_time) state.start_time = state.last_time;
  if (event->run_started().cause() == v1::START_CAUSE_RECOVERED && counts) ++state.barren_starts;
  if (event->run_started().cause() == v1::START_CAUSE_RESTORED) state.held = true;
  if (state.model.open) {
    state.model.open = false;
    AddUsage(state.usage, ReservedUsage(state.model));
    state.model.reserved_tokens = 0;
    state.model.reserved_cost_micros.reset();
  }
  if (IsPlanted(Bug::kRepeatStep) && event->run_started().cause() == v1::START_CAUSE_RECOVERED && std::holds_alternative<StepState>(state.history.back())) {
    state.history.pop_back();
    state.usage.set_steps(state.usage.steps() - 1);
  }
  StepState* const step = state.last_step();
  if (step == nullptr) return;
  for (CallState& call : step->calls) {
    if (call.phase != CallPhase::kOpen) continue;
    const bool forgotten = IsPlanted(Bug::kForgetUnsafeIntent);
    const bool repeatable = call.side_effect == v1::SIDE_EFFECT_READ_ONLY || call.side_effect == v1::SIDE_EFFECT_IDEMPOTENT || forgotten;
    call.phase = repeatable ? CallPhase::kReady : CallPhase::kUncertain;
    call.unconfirmed = !forgotten;
    call.retry_time = absl::InfinitePast();
  }
}

void ApplyModelCalled(RunState& state, const EventPtr& event) {
  const v1::ModelCalled& called = event->model_called();
  ModelState& model = state.model;
  model.open = true;
  model.attempts = called.attempt();
  model.grace = called.grace_step();
  model.purpose = called.purpose() == v1::MODEL_PURPOSE_SUMMARIZE ? v1::MODEL_PURPOSE_SUMMARIZE : v1::MODEL_PURPOSE_DECIDE;
  if (model.gave_up) model.shortened = true;  // it is asked for a summary, because it refused the whole
  model.gave_up = false;
  model.reserved_tokens = called.reserved_tokens();
  model.reserved_cost_micros.reset();
  if (called.has_reserved_cost_micros()) model.reserved_cost_micros = called.reserved_cost_micros();
  model.open_epoch = event->epoch();
  model.open_sequence = event->sequence();
  model.attempt_time = state.last_time;
}

void ApplyModelFailed(RunState& state, const EventPtr& event) {
  const v1::ModelFailed& failed = event->model_failed();
  AddUsage(state.usage, failed.usage());
  ModelState& model = state.model;
  model.open = false;
  model.reserved_tokens = 0;
  model.reserved_cost_micros.reset();
  ++model.failures;
  model.last_error = failed.error();
  model.gave_up = !failed.has_retry_time();
  model.retry_time = failed.has_retry_time() ? FromProto(failed.retry_time()) : absl::InfinitePast();
  state.barren_starts = 0;
}

void ApplyDecision(RunState& state, const EventPtr& event) {
  const v1::Decision& decision = event->decision_made().decision();
  const bool grace = std::exchange(state.model, ModelState()).grace;
  if (grace) state.grace_step = event->step();
  AddUsage(state.usage, decision.usage());
  StepState step;
  step.number = event->step();
  step.decision = event;
  step.calls.reserve(decision.tool_calls_size());
  for (int i = 0; i < decision.tool_calls_size(); ++i) {
    CallState call;
    call.id = CallId{step.number, i + 1};
    call.ordinal = state.usage.tool_calls() + i + 1;
    step.calls.push_back(std::move(call));
    state.history_bytes += static_cast<int64_t>(decision.tool_calls(i).tool().size() + decision.tool_calls(i).arguments().size());
  }
  state.history_bytes += TextBytes(decision.content());
  state.history_messages += 1 + decision.tool_calls_size();
  state.usage.set_steps(state.usage.steps() + 1);
  state.usage.set_tool_calls(state.usage.tool_calls() + decision.tool_calls_size());
  state.finish_reason = decision.finish_reason();
  if (step.calls.empty()) state.invalid_decisions = 0;
  // A grace step's calls are not run: what it says beside them is all that there will be.
  if (step.calls.empty() || (grace && decision.content_size() > 0)) state.answer_sequence = event->sequence();
  state.history.emplace_back(std::move(step));
  state.barren_starts = 0;
}

CallState* Find(RunState& state, const std::string& call_id) {
  const auto id = CallId::Parse(call_id);
  if (!id) return nullptr;
  return const_cast<CallState*>(std::as_const(state).FindCall(*id));
}

void ApplyCallStarted(RunState& state, const EventPtr& event) {
  CallState* const call = Find(state, event->call_started().call_id());
  if (call == nullptr) return;
  call->phase = CallPhase::kOpen;
  call->attempts = event->call_started().attempt();
  call->open_epoch = event->epoch();
  call->open_sequence = event->sequence();
  call->side_effect = event->call_started().side_effect();
  call->attempt_time = state.last_time;
  if (call->started == nullptr) call->started = event;
  if (event->call_started().has_child() && call->child == nullptr) call->child = event;
}

void ApplyCallFailed(RunState& state, const EventPtr& event) {
  const v1::CallFailed& failed = event->call_failed();
  CallState* const call = Find(state, failed.call_id());
  if (call == nullptr) return;
  call->phase = failed.has_retry_time() ? CallPhase::kReady : CallPhase::kUncertain;
  call->unconfirmed |= !failed.definite();
  call->retry_time = failed.has_retry_time() ? FromProto(failed.retry_time()) : absl::InfinitePast();
  state.barren_starts = 0;
}

// A decision counts as invalid if all its calls ended in errors before any was attempted, or put to a person.
bool IsInvalid(const StepState& step) {
  return std::all_of(step.calls.begin(), step.calls.end(), [](const CallState& call) {
    return call.attempts == 0 && call.waiting == nullptr && call.finished->call_finished().outcome() == v1::CALL_OUTCOME_ERROR;
  });
}

// Of the step that was just settled, against the one before it. What was said between them breaks the row. A grace step, whose calls are not run, is no part
// of it: the limit that it answers stays met.
void CountRepeats(RunState& state) {
  const auto last = std::find_if(state.history.rbegin(), state.history.rend(), [](const HistoryItem& item) { return std::holds_alternative<StepState>(item); });
  const auto& step = std::get<StepState>(*last);
  if (step.number == state.grace_step) return;
  const auto* const before = std::next(last) == state.history.rend() ? nullptr : std::get_if<StepState>(&*std::next(last));
  state.repeats = before != nullptr && IsSameStep(step, *before) ? state.repeats + 1 : 1;
}

void ApplyCallFinished(RunState& state, const EventPtr& event) {
  const v1::CallFinished& finished = event->call_finished();
  CallState* const call = Find(state, finished.call_id());
  if (call == nullptr) return;
  call->phase = CallPhase::kSettled;
  call->finished = event;
  call->started = nullptr;
  AddUsage(state.usage, finished.usage());
  if (finished.outcome() == v1::CALL_OUTCOME_UNCERTAIN) state.call_uncertain = true;
  state.history_bytes += TextBytes(finished.result());
  NoteArtifacts(state, finished.result());
  state.barren_starts = 0;
  const StepState& step = *state.last_step();
  if (std::all_of(step.calls.begin(), step.calls.end(), [](const CallState& other) { return other.phase == CallPhase::kSettled; })) {
    state.invalid_decisions = IsInvalid(step) ? state.invalid_decisions + 1 : 0;
    CountRepeats(state);
  }
}

void ApplyCallWaiting(RunState& state, const EventPtr& event) {
  CallState* const call = Find(state, event->call_waiting().call_id());
  if (call == nullptr) return;
  call->phase = CallPhase::kWaiting;
  call->waiting = event;
  state.barren_starts = 0;
}

void ApplyCallResolved(RunState& state, const EventPtr& event) {
  const v1::CallResolved& resolved = event->call_resolved();
  state.barren_starts = 0;
  Remember(state, resolved.request_id(), resolved.request_hash());
  CallState* const call = Find(state, resolved.call_id());
  if (call == nullptr) return;
  const bool goes_on = resolved.answer().has_run_again() || resolved.answer().has_allow();
  call->phase = goes_on ? CallPhase::kReady : CallPhase::kUncertain;  // the latter until the call_finished of the same append
  call->in_doubt |= resolved.answer().has_run_again();
  call->unconfirmed = false;  // a person has said what to do about it
  call->retry_time = absl::InfinitePast();
  if (!resolved.answer().has_allow()) return;
  call->allowed = event;
  state.history_bytes += AllowedNoteBytes(*call);
}

// A live run waits when every call that is not settled waits, and moves when one does.
void DerivePhase(RunState& state) {
  if (!state.is_live()) return;
  state.phase = v1::RUN_STATE_RUNNING;
  const StepState* const step = state.last_step();
  if (step == nullptr || state.model.open || state.is_cancelling() || state.held) return;
  bool waits = false;
  for (const CallState& call : step->calls) {
    if (call.phase != CallPhase::kWaiting && call.phase != CallPhase::kSettled) return;
    waits |= call.phase == CallPhase::kWaiting;
  }
  if (waits) state.phase = v1::RUN_STATE_WAITING;
}

// The steps that are summarized stay in `history`: a call of them may still be asked about.
void ApplyCompacted(RunState& state, const EventPtr& event) {
  const v1::ContextCompacted& compacted = event->context_compacted();
  AddUsage(state.usage, compacted.usage());
  if (compacted.strategy() == v1::COMPACTION_STRATEGY_SUMMARIZE) {
    state.summary = event;
    state.shortening.summarized = compacted.up_to_sequence();
    state.shortening.summary_bytes = static_cast<int64_t>(kSummaryHead.size() + compacted.summary().size());
  } else {
    state.shortening.cleared = compacted.up_to_sequence();
  }
  state.shortening.changed = event->sequence();
  const ContextSize size = CountContext(state.history, state.shortening);
  state.history_bytes = size.bytes;
  state.history_messages = size.messages;
  ModelState& model = state.model;
  model.open = false;
  model.reserved_tokens = 0;
  model.reserved_cost_micros.reset();
  model.failures = 0;
  if (model.gave_up) model.shortened = true;
  model.gave_up = false;
  model.last_error.reset();
  model.retry_time = absl::InfinitePast();
  state.barren_starts = 0;
}

void ApplyInputReceived(RunState& state, const EventPtr& event) {
  const v1::InputReceived& received = event->input_received();
  state.history.emplace_back(InputItem{event});
  state.history_bytes += TextBytes(received.input());
  ++state.history_messages;
  // A grace step that is being made did not see it, and is still the last word on its limit.
  if (!state.model.open || !state.model.grace) state.repeats = 0;
  Remember(state, received.request_id(), received.request_hash());
}

void ApplyCancelRequested(RunState& state, const EventPtr& event) {
  state.cancel_requested = event;
  const v1::CancelRequested& requested = event->cancel_requested();
  state.cancel_until = state.active + FromProto(requested.grace());
  Remember(state, requested.request_id(), requested.request_hash());
}

void ApplyStopped(RunState& state, const EventPtr& event) {
  state.phase = v1::RUN_STATE_STOPPED;
  state.stopped = event;
  state.held = false;
  state.cancel_requested = nullptr;
  state.cancel_until = absl::InfiniteDuration();
  if (event->run_stopped().answer_size() > 0) state.answer_sequence = event->sequence();
}

void ApplyResumed(RunState& state, const EventPtr& event) {
  const v1::RunResumed& resumed = event->run_resumed();
  BeginLeg(state);
  Raise(state.limits, resumed.limits());
  if (resumed.has_deadline()) state.deadline = FromProto(resumed.deadline());
  if (resumed.input_size() > 0) {
    state.history.emplace_back(InputItem{event});
    state.history_bytes += TextBytes(resumed.input());
    ++state.history_messages;
    state.repeats = 0;
  }
  state.model.failures = 0;
  state.model.gave_up = false;
  state.model.grace = false;
  state.model.shortened = false;
  state.model.last_error.reset();
  state.model.retry_time = absl::InfinitePast();
  Remember(state, resumed.request_id(), resumed.request_hash());
}

void ApplyEnvelope(RunState& state, const v1::Event& event) {
  state.last_sequence = event.sequence();
  state.epoch = event.epoch();
  state.last_time = FromProto(event.time());
  state.active = absl::Microseconds(event.active_us());
  state.journal_bytes += static_cast<int64_t>(event.ByteSizeLong());
}

void ApplyKind(RunState& state, const EventPtr& event) {
  switch (event->kind_case()) {
    case v1::Event::kRunCreated: return ApplyCreated(state, event);
    case v1::Event::kRunStarted: return ApplyStarted(state, event);
    case v1::Event::kModelCalled: return ApplyModelCalled(state, event);
    case v1::Event::kModelFailed: return ApplyModelFailed(state, event);
    case v1::Event::kDecisionMade: return ApplyDecision(state, event);
    case v1::Event::kCallStarted: return ApplyCallStarted(state, event);
    case v1::Event::kCallFailed: return ApplyCallFailed(state, event);
    case v1::Event::kCallWaiting: return ApplyCallWaiting(state, event);
    case v1::Event::kCallResolved: return ApplyCallResolved(state, event);
    case v1::Event::kCallFinished: return ApplyCallFinished(state, event);
    case v1::Event::kInputReceived: return ApplyInputReceived(state, event);
    case v1::Event::kContextCompacted: return ApplyCompacted(state, event);
    case v1::Event::kCancelRequested: return ApplyCancelRequested(state, event);
    case v1::Event::kRunStopped: return ApplyStopped(state, event);
    case v1::Event::kRunResumed: return ApplyResumed(state, event);
    case v1::Event::kRunForked: return ApplyForked(state, event);
    case v1::Event::KIND_NOT_SET: return;
  }
}

}  // namespace

const StepState* RunState::last_step() const { return const_cast<RunState*>(this)->last_step(); }

StepState* RunState::last_step() {
  for (auto item = history.rbegin(); item != history.rend(); ++item) {
    if (auto* step = std::get_if<StepState>(&*item)) return step;
  }
  return nullptr;
}

const std::string& RunState::parent_call() const {
  static const std::string& none = *new std::string();
  return forked != nullptr ? none : created->run_created().parent_call();
}

bool RunState::awaits_children() const {
  const StepState* const step = last_step();
  if (phase != v1::RUN_STATE_RUNNING || step == nullptr || model.open || is_cancelling()) return false;
  bool awaits = false;
  for (const CallState& call : step->calls) {
    if (call.phase == CallPhase::kSettled || call.phase == CallPhase::kWaiting) continue;
    if (call.phase != CallPhase::kOpen || call.child == nullptr) return false;
    awaits = true;
  }
  return awaits;
}

const CallState* RunState::FindCall(const CallId& call) const {
  const StepState* const step = last_step();
  if (step == nullptr || step->number != call.step || call.index < 1 || call.index > static_cast<int32_t>(step->calls.size())) return nullptr;
  return &step->calls[call.index - 1];
}

void Apply(RunState& state, const EventPtr& event) {
  ApplyEnvelope(state, *event);
  ApplyKind(state, event);
  DerivePhase(state);
}

bool IsEndOfStep(const RunState& state, int32_t step) {
  if (step == 0) return state.last_sequence == 1;
  const StepState* const last = state.last_step();
  if (last == nullptr || last->number != step) return false;
  return std::all_of(last->calls.begin(), last->calls.end(), [](const CallState& call) { return call.phase == CallPhase::kSettled; });
}

const v1::ToolCall& RequestOf(const StepState& step, const CallState& call) { return step.decision->decision_made().decision().tool_calls(call.id.index - 1); }

const std::string& ArgumentsOf(const StepState& step, const CallState& call) {
  if (call.allowed != nullptr) {
    const std::string& given = call.allowed->call_resolved().answer().allow().arguments();
    if (!given.empty()) return given;
  }
  return RequestOf(step, call).arguments();
}

v1::Usage ReservedUsage(const ModelState& model) {
  v1::Usage usage;
  usage.set_input_tokens(model.reserved_tokens);
  if (model.reserved_cost_micros) usage.set_cost_micros(*model.reserved_cost_micros);
  return usage;
}

int64_t BookedTokens(const RunState& state) { return state.usage.input_tokens() + state.usage.output_tokens(); }

}  // namespace agentruntime
