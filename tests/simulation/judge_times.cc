// What is promised for a moment: the end of a cancel's grace, a deadline, the expiry of what a person is asked.
#include <algorithm>

#include "proto/util/time.h"
#include "tests/simulation/judge.h"

namespace agentruntime::simulation {
namespace {

// Beyond the grace: commits, tools that are given up.
constexpr absl::Duration kCancelSlack = absl::Seconds(4);
// Behind a deadline or an expiry: reads, commits, children that are asked to cancel first.
constexpr absl::Duration kMomentSlack = absl::Seconds(10);
// After the last disturbance: a clock that was set is looked at again each minute.
constexpr absl::Duration kClockLook = absl::Minutes(1);

// The first moment for which the run is promised something. Behind a restart, one that had more open than its wait has its turn first.
absl::Time PromisedTo(const RunState& state, bool is_taken_up) {
  absl::Time first = state.deadline;
  const StepState* const step = state.last_step();
  if (!state.is_live() || step == nullptr || (!is_taken_up && !state.is_waiting())) return first;
  for (const CallState& call : step->calls) {
    if (call.phase == CallPhase::kWaiting) first = std::min(first, FromProto(call.waiting->call_waiting().expire_time()));
  }
  return first;
}

}  // namespace

void Judge::CheckCancel(const RunId& run, const v1::Event& event) {
  if (event.has_cancel_requested()) cancels_[run] = world_.now;
  if (!event.has_run_stopped()) return;
  const auto at = cancels_.find(run);
  if (at == cancels_.end()) return;
  const absl::Duration took = world_.now - at->second;
  // A process that dies may still finish the batch that a full disk had held up.
  if (at->second > world_.disturbed && !world_.disk_full && took > world_.settings.options.cancel_grace + kCancelSlack) {
    world_.Fail("cancel: ", run.ToString(), " stopped ", absl::FormatDuration(took), " after its cancel was durable");
  }
  cancels_.erase(at);
}

void Judge::CheckMoments() {
  if (world_.faults || world_.now < std::max(world_.disturbed + kClockLook + kMomentSlack, moments_checked_ + absl::Seconds(1))) return;
  moments_checked_ = world_.now;
  for (const auto& [run, known] : runs_) {
    const RunState& state = known.fold;
    // What a restored copy holds stops whatever it waits for, in its turn.
    if (known.deleted || state.is_stopped() || state.is_cancelling() || state.epoch < epochs_.restored) continue;
    const absl::Time promised = PromisedTo(state, /*is_taken_up=*/state.epoch == epochs_.current);
    const absl::Duration late = world_.wall(world_.now) - promised;
    if (late > kMomentSlack) world_.Fail("moment: ", run.ToString(), " is as it was ", absl::FormatDuration(late), " after its deadline or its wait was over");
  }
}

}  // namespace agentruntime::simulation
