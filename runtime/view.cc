#include "runtime/view.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/planted_bug.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/ask.h"

namespace agentruntime {
namespace {

v1::Activity ModelActivity(const RunState& state) {
  const ModelState& model = state.model;
  v1::Activity activity;
  activity.set_attempt(model.attempts);
  if (model.open) {
    activity.set_detail(absl::StrCat(model.purpose == v1::MODEL_PURPOSE_SUMMARIZE ? "asking the model for a summary of old steps" : "asking the model",
                                     ", attempt ", model.attempts));
    *activity.mutable_since_time() = ToProto(model.attempt_time);
  } else {
    activity.set_detail(absl::StrCat(model.last_error->message(), "; attempt ", model.attempts, " failed, trying again"));
    *activity.mutable_since_time() = ToProto(state.last_time);
    *activity.mutable_next_try_time() = ToProto(model.retry_time);
  }
  return activity;
}

v1::Activity CallActivity(const StepState& step, const CallState& call) {
  v1::Activity activity;
  activity.set_call_id(call.id.ToString());
  activity.set_attempt(call.attempts);
  *activity.mutable_since_time() = ToProto(call.attempt_time);
  const std::string& tool = RequestOf(step, call).tool();
  if (call.phase == CallPhase::kOpen && call.child != nullptr) {
    activity.set_detail(absl::StrCat("tool ", tool, ", waiting for ", call.child->call_started().child().run()));
  } else if (call.phase == CallPhase::kOpen) {
    activity.set_detail(absl::StrCat("tool ", tool, ", attempt ", call.attempts));
  } else {
    activity.set_detail(absl::StrCat("tool ", tool, " failed, trying again"));
    *activity.mutable_next_try_time() = ToProto(call.retry_time);
  }
  return activity;
}

std::optional<v1::Activity> ActivityOf(const RunState& state) {
  if (!state.is_live()) return std::nullopt;
  if (state.is_cancelling()) {
    v1::Activity activity;
    activity.set_detail("cancelling");
    *activity.mutable_since_time() = ToProto(FromProto(state.cancel_requested->time()));
    return activity;
  }
  if (state.is_waiting()) {
    v1::Activity activity;
    activity.set_detail("waiting for a person");
    *activity.mutable_since_time() = ToProto(state.last_time);
    return activity;
  }
  if (state.model.open || (state.model.last_error && !state.model.gave_up)) return ModelActivity(state);
  const StepState* const step = state.last_step();
  if (step == nullptr) return std::nullopt;
  const CallState* waiting = nullptr;
  for (const CallState& call : step->calls) {
    if (call.phase == CallPhase::kOpen) return CallActivity(*step, call);
    if (call.phase == CallPhase::kReady && call.attempts > 0 && call.retry_time > absl::InfinitePast()) waiting = &call;
  }
  if (waiting == nullptr) return std::nullopt;
  return CallActivity(*step, *waiting);
}

// When the run does something by itself again. None: at once, or when an attempt under way ends, or never.
std::optional<absl::Time> WakeTimeOf(const RunState& state) {
  if (state.phase == v1::RUN_STATE_QUEUED) return state.not_before > absl::InfinitePast() ? std::optional(state.not_before) : std::nullopt;
  if (!state.is_live() || state.held || state.is_cancelling() || state.model.open) return std::nullopt;
  absl::Time wake = absl::InfiniteFuture();
  if (const StepState* const step = state.last_step()) {
    for (const CallState& call : step->calls) {
      switch (call.phase) {
        case CallPhase::kSettled: break;
        case CallPhase::kWaiting: wake = std::min(wake, ExpiryOf(call)); break;
        case CallPhase::kReady: wake = std::min(wake, call.retry_time); break;  // the infinite past: it is to be started
        case CallPhase::kOpen:
        case CallPhase::kUncertain: return std::nullopt;
      }
    }
  }
  if (wake == absl::InfiniteFuture()) wake = state.model.retry_time;
  if (wake == absl::InfinitePast()) return std::nullopt;
  return std::min(wake, state.deadline);
}

void SetCommon(v1::Run& run, const RunProjection& projection) {
  run.set_state(projection.state);
  if (projection.stop) *run.mutable_stop() = *projection.stop;
  *run.mutable_usage() = projection.usage;
  if (projection.activity) *run.mutable_activity() = *projection.activity;
  for (const v1::WaitingCall& call : projection.waiting_calls) *run.add_waiting_calls() = call;
  run.set_last_sequence(projection.last_sequence);
  run.set_priority(projection.priority);
  if (projection.not_before) *run.mutable_not_before_time() = ToProto(*projection.not_before);
  run.set_last_step(projection.last_step);
  *run.mutable_update_time() = ToProto(projection.update_time);
  if (projection.start_time) *run.mutable_start_time() = ToProto(*projection.start_time);
  if (projection.stop_time) *run.mutable_stop_time() = ToProto(*projection.stop_time);
}

}  // namespace

RunProjection ProjectionOf(const RunState& state) {
  RunProjection projection;
  projection.state = state.phase;
  if (state.stopped != nullptr && !IsPlanted(Bug::kLoseStopReason)) projection.stop = state.stopped->run_stopped().stop();
  projection.usage = state.usage;
  *projection.usage.mutable_active_time() = ToProto(state.active);
  projection.limits = state.limits;
  projection.activity = ActivityOf(state);
  projection.waiting_calls = WaitingCallsOf(state);
  projection.wake_time = WakeTimeOf(state);
  projection.priority = state.priority();
  if (state.not_before > absl::InfinitePast()) projection.not_before = state.not_before;
  if (state.deadline < absl::InfiniteFuture()) projection.deadline = state.deadline;
  projection.last_sequence = state.last_sequence;
  projection.answer_sequence = state.answer_sequence;
  projection.last_step = state.usage.steps();
  projection.barren_starts = state.barren_starts;
  projection.update_time = state.last_time;
  projection.start_time = state.start_time;
  if (state.is_stopped()) projection.stop_time = state.last_time;
  return projection;
}

std::string TitleOf(const v1::RunCreated& created) {
  for (const v1::Part& part : created.input()) {
    const std::string& text = part.kind_case() == v1::Part::kJson ? part.json() : part.text();
    // Characters, not bytes; the cut in front keeps the work small for a large input.
    std::string title = OneLine(CutUtf8(text, 8 * size_t{kTitleCharactersMax}), kTitleCharactersMax - 1);
    if (!title.empty()) return title;
  }
  return "";
}

const google::protobuf::RepeatedPtrField<v1::Part>& AnswerIn(const v1::Event& event) {
  return event.has_run_stopped() ? event.run_stopped().answer() : event.decision_made().decision().content();
}

v1::ForkSource ToProto(const ForkPoint& point) {
  v1::ForkSource source;
  source.set_run(RunName(point.run));
  source.set_sequence(point.sequence);
  return source;
}

v1::Run RunOf(const RunState& state) {
  const v1::RunCreated& created = state.created->run_created();
  v1::Run run;
  run.set_name(RunName(state.id));
  run.set_agent(state.agent());
  *run.mutable_input() = created.input();
  *run.mutable_limits() = state.limits;
  run.set_title(TitleOf(created));
  *run.mutable_create_time() = state.accepted().time();
  if (state.forked != nullptr) {
    *run.mutable_labels() = state.forked->run_forked().labels();
    *run.mutable_forked_from() = state.forked->run_forked().source();
  } else {
    *run.mutable_labels() = created.labels();
    run.set_conversation(created.conversation());
    run.set_parent_call(created.parent_call());
  }
  if (state.deadline < absl::InfiniteFuture()) *run.mutable_deadline() = ToProto(state.deadline);
  SetCommon(run, ProjectionOf(state));
  if (state.answer_sequence > 0) {
    if (state.stopped != nullptr && state.stopped->sequence() == state.answer_sequence) {
      *run.mutable_answer() = AnswerIn(*state.stopped);
    } else if (const StepState* step = state.last_step(); step != nullptr && step->decision->sequence() == state.answer_sequence) {
      *run.mutable_answer() = AnswerIn(*step->decision);
    }
  }
  return run;
}

v1::Run SummaryOf(const RunRecord& record) {
  v1::Run run;
  run.set_name(RunName(record.id));
  run.set_agent(record.agent);
  for (const auto& [key, value] : record.labels) (*run.mutable_labels())[key] = value;
  run.set_title(record.title);
  *run.mutable_create_time() = ToProto(record.create_time);
  run.set_conversation(record.conversation);
  if (record.forked_from) *run.mutable_forked_from() = ToProto(*record.forked_from);
  SetCommon(run, record.projection);
  return run;
}

}  // namespace agentruntime
