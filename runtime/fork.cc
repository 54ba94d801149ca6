#include "runtime/fork.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/stop.h"

namespace agentruntime {
namespace {

// What a fork adds beside its input: itself, with labels, limits, names and the request's id, and the start behind it.
constexpr int64_t kForkEvents = 2;
constexpr int64_t kForkBytesMax = 4096 + kLabelsMax * (kLabelKeyBytesMax + kLabelValueBytesMax + 16);

// Each fork of a line holds its base, so the whole line is there.
absl::Status CheckDepth(Store& store, const RunRecord& source) {
  std::optional<ForkPoint> base = source.forked_from;
  for (int32_t depth = 0; base; ++depth) {
    if (depth + 1 >= kForkDepthMax) return ForkTooDeep(source.id);
    ASSIGN_OR_RETURN(const RunRecord shared, store.GetRun(base->run));
    base = shared.forked_from;
  }
  return absl::OkStatus();
}

absl::StatusOr<RunState> FoldToStep(Store& store, const RunId& run, int32_t step) {
  RunState state;
  state.id = run;
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<EventPtr> events, store.ReadEvents(run, state.last_sequence, ReadLimit()));
    if (events.empty()) break;
    for (const EventPtr& event : events) {
      Apply(state, event);
      if (IsEndOfStep(state, step)) return state;
    }
  }
  const StepState* const last = state.last_step();
  if (last != nullptr && last->number == step) return StepNotOver(run, step);
  return StepNotFound(run, step);
}

}  // namespace

absl::StatusOr<ForkBase> LoadForkBase(Store& store, const ForkRequest& request) {
  ForkBase base;
  ASSIGN_OR_RETURN(RunRecord source, store.GetRun(request.source));
  RETURN_IF_ERROR(CheckDepth(store, source));
  ASSIGN_OR_RETURN(base.state, FoldToStep(store, request.source, request.step));
  const bool answered = base.state.finish_reason == v1::FINISH_REASON_ANSWER && !base.state.is_grace_over();
  if (answered && request.input.empty()) {
    return InvalidField("input", absl::StrCat("step ", request.step, " of ", RunName(request.source),
                                              " is its answer; say what the fork is to do next, or fork at an earlier step"));
  }
  // What is shared counts as the fork's own: one without room would stop at once, beyond the bounds.
  int64_t bytes = kForkBytesMax;
  for (const v1::Part& part : request.input) bytes += static_cast<int64_t>(part.ByteSizeLong());
  if (!HasRoomForDecision(base.state, kForkEvents, bytes)) return NoRoomToFork(request.source, request.step);
  base.agent = std::move(source.agent);
  base.limits = std::move(source.projection.limits);
  return base;
}

v1::Event ForkedEvent(const ForkBase& base, ForkRequest request, std::string agent, v1::Limits limits, const Caller& caller, absl::Time now, Epoch epoch) {
  v1::Event event;
  event.set_sequence(base.state.last_sequence + 1);
  // A journal's time does not run backwards, and a fork's begins in its source's.
  *event.mutable_time() = ToProto(absl::FromUnixMicros(absl::ToUnixMicros(std::max(now, base.state.last_time))));
  event.set_active_us(absl::ToInt64Microseconds(base.state.active));
  event.set_step(base.state.usage.steps());
  event.set_epoch(epoch);
  v1::RunForked& forked = *event.mutable_run_forked();
  forked.mutable_source()->set_run(RunName(request.source));
  forked.mutable_source()->set_sequence(base.state.last_sequence);
  forked.set_agent(std::move(agent));
  *forked.mutable_limits() = std::move(limits);
  for (v1::Part& part : request.input) *forked.add_input() = std::move(part);
  forked.mutable_labels()->insert(request.labels.begin(), request.labels.end());
  forked.set_allow_side_effects(request.allow_side_effects);
  forked.set_principal(caller.principal);
  forked.set_tenant(caller.tenant);
  if (!request.request_id.empty()) forked.set_request_hash(std::move(request.request_hash));
  forked.set_request_id(std::move(request.request_id));
  if (request.deadline) *forked.mutable_deadline() = ToProto(*request.deadline);
  return event;
}

}  // namespace agentruntime
