#include "runtime/budget.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/money.h"
#include "runtime/compaction.h"
#include "runtime/context.h"

namespace agentruntime {
namespace {

// What a decision leaves for a grace step.
struct Room {
  int64_t tokens = 0;
  int64_t cost_micros = 0;
};

Room RoomForGrace(const RunState& state, const RunPlan& plan, int64_t prompt) {
  Room room;
  if (!plan.agent->grace_step() || !state.decided()) return room;
  room.tokens = prompt + kGraceNoticeTokens + kGraceOutputTokensMin;
  if (plan.price) room.cost_micros = CostMicros(*plan.price, prompt + kGraceNoticeTokens, 0, kGraceOutputTokensMin);
  return room;
}

std::optional<v1::Stop> CostLimit(const RunState& state, const RunPlan& plan, int64_t prompt, int64_t room) {
  const v1::Limits& limits = state.limits;
  if (!limits.has_max_cost_micros() || !plan.price) return std::nullopt;
  const int64_t booked = state.usage.cost_micros();
  const int64_t needed = CostMicros(*plan.price, prompt, 0, 1) + room;
  if (booked + needed <= limits.max_cost_micros()) return std::nullopt;
  return LimitStop(v1::STOP_REASON_COST_BUDGET, "max_cost_micros", limits.max_cost_micros(), booked + needed,
                   absl::StrCat(FormatMicros(booked), " is spent and the next decision needs about ", FormatMicros(needed), " more; the budget is ",
                                FormatMicros(limits.max_cost_micros())));
}

std::optional<v1::Stop> TokenLimit(const RunState& state, int64_t prompt, int64_t room) {
  const int64_t booked = BookedTokens(state);
  const int64_t needed = prompt + 1 + room;
  if (booked + needed <= state.limits.max_tokens()) return std::nullopt;
  return LimitStop(v1::STOP_REASON_TOKEN_BUDGET, "max_tokens", state.limits.max_tokens(), booked + needed,
                   absl::StrCat(booked, " tokens are used and the next decision needs about ", needed, " more; the budget is ", state.limits.max_tokens()));
}

// The most that the model may write behind `prompt`, where `room` is to be left; below 0 if not even the prompt fits.
int64_t OutputOf(const RunState& state, const RunPlan& plan, int64_t prompt, const Room& room, int64_t most) {
  const int64_t output = std::min({most, state.limits.max_tokens() - BookedTokens(state) - room.tokens - prompt, plan.model->info().context_tokens - prompt});
  if (output < 0 || !plan.price || !state.limits.has_max_cost_micros()) return output;
  return AffordableOutput(*plan.price, prompt, state.limits.max_cost_micros() - state.usage.cost_micros() - room.cost_micros, output);
}

}  // namespace

v1::Stop LimitStop(v1::StopReason reason, absl::string_view limit, int64_t value, int64_t count, std::string detail) {
  v1::Stop stop;
  stop.set_reason(reason);
  stop.set_detail(std::move(detail));
  stop.set_resumable(true);
  stop.mutable_limit()->set_limit(std::string(limit));
  stop.mutable_limit()->set_value(value);
  stop.mutable_limit()->set_count(count);
  return stop;
}

std::optional<v1::Stop> LimitBeforeDecision(const RunState& state, const RunPlan& plan) {
  const v1::Limits& limits = state.limits;
  if (plan.model->info().counts_tokens) {
    const int64_t prompt = EstimatePromptTokens(state, plan);
    const Room room = RoomForGrace(state, plan, prompt);
    if (auto stop = CostLimit(state, plan, prompt, room.cost_micros)) return stop;
    if (auto stop = TokenLimit(state, prompt, room.tokens)) return stop;
  } else if (const int64_t booked = BookedTokens(state); booked > limits.max_tokens()) {
    return LimitStop(v1::STOP_REASON_TOKEN_BUDGET, "max_tokens", limits.max_tokens(), booked,
                     absl::StrCat(booked, " tokens are used; the budget is ", limits.max_tokens()));
  }
  if (state.usage.tool_calls() > limits.max_tool_calls()) {
    return LimitStop(v1::STOP_REASON_MAX_TOOL_CALLS, "max_tool_calls", limits.max_tool_calls(), state.usage.tool_calls(),
                     absl::StrCat("the model asked for ", state.usage.tool_calls(), " tool calls, the limit is ", limits.max_tool_calls()));
  }
  if (state.usage.steps() >= limits.max_steps()) {
    return LimitStop(v1::STOP_REASON_MAX_STEPS, "max_steps", limits.max_steps(), state.usage.steps(),
                     absl::StrCat("the model decided ", state.usage.steps() == 1 ? "once" : absl::StrCat(state.usage.steps(), " times"),
                                  " without an answer, the limit is ", limits.max_steps()));
  }
  // Runs that are older than this limit have none.
  if (limits.has_max_repeats() && state.repeats >= limits.max_repeats()) {
    return LimitStop(
        v1::STOP_REASON_LOOP_DETECTED, "max_repeats", limits.max_repeats(), state.repeats,
        absl::StrCat("the model asked for the same calls and read the same results ", state.repeats, " times in a row, the limit is ", limits.max_repeats()));
  }
  return std::nullopt;
}

bool HasGraceStep(const RunState& state, const RunPlan& plan) {
  if (!plan.agent->grace_step() || state.grace_step > 0 || state.usage.steps() > state.limits.max_steps()) return false;
  if (!plan.model->info().counts_tokens) return true;
  const int64_t prompt = EstimatePromptTokens(state, plan) + kGraceNoticeTokens;
  return OutputOf(state, plan, prompt, Room(), OutputTokensMax(plan)) >= std::min<int64_t>(kGraceOutputTokensMin, OutputTokensMax(plan));
}

std::string GraceNotice(const RunState& state, const RunPlan& plan) {
  const auto stop = LimitBeforeDecision(state, plan);
  return absl::StrCat("[The run is at its limit", stop ? absl::StrCat(" ", stop->limit().limit(), ": ", stop->detail()) : "",
                      ". No tool can be called any more, and this is the last answer: answer now, with what you have.]");
}

Reservation ReservationOf(const RunState& state, const RunPlan& plan, bool grace) {
  Reservation reservation;
  if (plan.price) reservation.cost_micros = 0;
  if (!plan.model->info().counts_tokens) return reservation;
  const int64_t prompt = EstimatePromptTokens(state, plan);
  const int64_t whole = prompt + (grace ? kGraceNoticeTokens : 0);
  const int64_t output = OutputOf(state, plan, whole, grace ? Room() : RoomForGrace(state, plan, prompt), OutputTokensMax(plan));
  reservation.tokens = whole + output;
  if (plan.price) reservation.cost_micros = CostMicros(*plan.price, whole, 0, output);
  return reservation;
}

std::optional<Reservation> SummaryReservation(const RunState& state, const RunPlan& plan) {
  const int64_t prompt = EstimateSummaryTokens(state, plan);
  const int64_t output = OutputOf(state, plan, prompt, RoomForGrace(state, plan, EstimatePromptTokens(state, plan)), kSummaryTokensMax);
  if (output < kSummaryTokensMin) return std::nullopt;
  Reservation reservation;
  reservation.tokens = prompt + output;
  if (plan.price) reservation.cost_micros = CostMicros(*plan.price, prompt, 0, output);
  return reservation;
}

bool LacksPrice(const v1::Limits& limits, const RunPlan& plan) {
  return limits.has_max_cost_micros() && !plan.price && plan.model != nullptr && plan.model->info().counts_tokens;
}

absl::Status CheckPrice(const v1::Limits& limits, const RunPlan& plan) {
  if (!LacksPrice(limits, plan)) return absl::OkStatus();
  return AgentUnusable(plan.agent->name(), absl::StrCat("limits.max_cost_micros: model \"", plan.agent->model(),
                                                        "\" has no price on this server, so a budget of money cannot be kept; give models[].price in "
                                                        "agentd.yaml, or bound the run by max_tokens"));
}

}  // namespace agentruntime
