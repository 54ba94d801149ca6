// What is counted before each decision: the limits in their order, and what an attempt of the model sets aside. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "agentruntime/v1/run.pb.h"
#include "runtime/plan.h"
#include "runtime/state.h"

namespace agentruntime {

// The first limit that leaves no room for another decision: money, tokens, tool calls, steps, repeats. The plan has a model.
// Where the agent has a grace step the budgets of tokens and money are met a little earlier, so that there is room for it: for a prompt as it is now and
// kGraceOutputTokensMin. The first decision of a leg needs no such room. What is met once stays met until a resume.
std::optional<v1::Stop> LimitBeforeDecision(const RunState& state, const RunPlan& plan);

// Whether the limit that is met may be met by a grace step: one in each leg, at most one step over max_steps, and within the budgets of tokens and money.
bool HasGraceStep(const RunState& state, const RunPlan& plan);
// What the model is told in it.
std::string GraceNotice(const RunState& state, const RunPlan& plan);

// Set aside by an attempt: with what is booked it is within the budgets.
struct Reservation {
  int64_t tokens = 0;
  std::optional<int64_t> cost_micros;  // nullopt: the model has no price
};
// An estimate of the prompt plus the most that the model may write, cut to what is left. Of a decision: where LimitBeforeDecision holds not; of a grace step:
// where HasGraceStep holds.
Reservation ReservationOf(const RunState& state, const RunPlan& plan, bool grace);

// Of a summary of old steps (compaction.h); nullopt where the window or the budgets leave no room for one.
std::optional<Reservation> SummaryReservation(const RunState& state, const RunPlan& plan);

// A stop by a limit.
v1::Stop LimitStop(v1::StopReason reason, absl::string_view limit, int64_t value, int64_t count, std::string detail);

// Whether there is a budget of money although nobody knows what the model costs.
bool LacksPrice(const v1::Limits& limits, const RunPlan& plan);
// OK unless it does: AgentUnusable.
absl::Status CheckPrice(const v1::Limits& limits, const RunPlan& plan);

}  // namespace agentruntime
