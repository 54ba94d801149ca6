#include "runtime/decide.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proto/base/planted_bug.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "proto/util/money.h"
#include "proto/util/time.h"
#include "runtime/act.h"
#include "runtime/backoff.h"
#include "runtime/compaction.h"

namespace agentruntime {
namespace {

v1::RunError BadResponse(absl::string_view reason, std::string message, bool retryable) {
  v1::RunError error;
  error.set_reason(std::string(reason));
  error.set_message(std::move(message));
  error.set_retryable(retryable);
  return error;
}

// What is booked: as reported, else the reservation.
v1::Usage BookedUsage(const RunState& state, const RunPlan& plan, const ModelOutcome& outcome) {
  v1::Usage usage;
  if (outcome.usage) {
    // A provider's numbers are bounded like everything from outside: sums of them must not overflow.
    const auto bounded = [](int64_t tokens) { return std::clamp<int64_t>(tokens, 0, kMaxTokensMaximum); };
    usage.set_input_tokens(bounded(outcome.usage->input_tokens()));
    usage.set_cached_input_tokens(bounded(outcome.usage->cached_input_tokens()));
    usage.set_output_tokens(bounded(outcome.usage->output_tokens()));
    if (plan.price) usage.set_cost_micros(CostMicros(*plan.price, usage.input_tokens(), usage.cached_input_tokens(), usage.output_tokens()));
    return usage;
  }
  return IsPlanted(Bug::kBookNothing) ? usage : ReservedUsage(state.model);
}

v1::Event Failed(const RunState& state, const RunPlan& plan, v1::RunError error, const v1::Usage& booked, std::optional<absl::Duration> retry_after,
                 absl::Time now, double random) {
  v1::Event fact;
  fact.set_step(state.next_step());
  v1::ModelFailed* const failed = fact.mutable_model_failed();
  failed->set_attempt(state.model.attempts);
  *failed->mutable_usage() = booked;
  const int32_t failures = state.model.failures + 1;
  if (error.retryable() && failures < plan.model->info().attempts_max && !state.is_cancelling()) {
    *failed->mutable_retry_time() = ToProto(now + BackoffDelay(failures, random, retry_after));
  }
  error.set_message(std::string(CutUtf8(MakeValidUtf8(error.message()), kDescriptionBytesMax)));
  *failed->mutable_error() = std::move(error);
  return fact;
}

// Why a decision cannot be kept, if it cannot.
std::optional<v1::RunError> Unfit(const v1::Decision& decision) {
  if (decision.tool_calls_size() > kCallsPerDecisionMax) {
    return BadResponse("MODEL_INVALID_CALLS", absl::StrCat("the model asked for more than ", kCallsPerDecisionMax, " tool calls in one decision"), false);
  }
  for (const v1::ToolCall& call : decision.tool_calls()) {
    if (static_cast<int64_t>(call.arguments().size()) > kArgumentsBytesMax) {
      return BadResponse("MODEL_BAD_RESPONSE",
                         absl::StrCat("the model's arguments for \"", OneLine(call.tool(), 64), "\" are ", call.arguments().size(),
                                      " bytes, over the bound of ", kArgumentsBytesMax),
                         true);
    }
  }
  if (static_cast<int64_t>(decision.ByteSizeLong()) > kEventBytesMax - 1024) {
    return BadResponse("MODEL_BAD_RESPONSE", absl::StrCat("the model's decision is ", decision.ByteSizeLong(), " bytes, over the bound of one event"), true);
  }
  return std::nullopt;
}

// nullopt: there is no text in it.
std::optional<v1::Event> Summarized(const RunState& state, const v1::Decision& decision, const v1::Usage& booked) {
  std::string summary = SummaryIn(decision);
  if (summary.empty() || decision.finish_reason() == v1::FINISH_REASON_FILTERED) return std::nullopt;
  v1::Event fact;
  fact.set_step(state.next_step());
  v1::ContextCompacted* const compacted = fact.mutable_context_compacted();
  compacted->set_up_to_sequence(SummaryEnd(state));
  compacted->set_strategy(v1::COMPACTION_STRATEGY_SUMMARIZE);
  compacted->set_summary(std::move(summary));
  *compacted->mutable_usage() = booked;
  return fact;
}

}  // namespace

std::vector<v1::Event> FactsOfOutcome(const RunState& state, const RunPlan& plan, ModelOutcome outcome, absl::Duration duration, absl::Time now,
                                      double random) {
  std::vector<v1::Event> facts;
  const v1::Usage booked = BookedUsage(state, plan, outcome);
  if (outcome.decision && state.model.purpose == v1::MODEL_PURPOSE_SUMMARIZE) {
    if (auto fact = Summarized(state, *outcome.decision, booked)) {
      facts.push_back(*std::move(fact));
      return facts;
    }
    outcome.decision.reset();
    outcome.error = BadResponse("MODEL_BAD_RESPONSE", "the model wrote no summary of the old steps", true);
  }
  if (outcome.decision) {
    if (auto unfit = Unfit(*outcome.decision)) {
      outcome.decision.reset();
      outcome.error = *std::move(unfit);
    }
  }
  if (!outcome.decision) {
    facts.push_back(Failed(state, plan, std::move(outcome.error), booked, outcome.retry_after, now, random));
    return facts;
  }
  v1::Event fact;
  fact.set_step(state.next_step());
  v1::Decision* const decision = fact.mutable_decision_made()->mutable_decision();
  *decision = *std::move(outcome.decision);
  *decision->mutable_usage() = booked;
  decision->set_model(plan.agent->model());
  *decision->mutable_duration() = ToProto(duration);
  if (decision->tool_calls_size() > 0) {
    decision->set_finish_reason(v1::FINISH_REASON_TOOL_CALLS);
  } else if (decision->finish_reason() == v1::FINISH_REASON_TOOL_CALLS || decision->finish_reason() == v1::FINISH_REASON_UNSPECIFIED) {
    decision->set_finish_reason(v1::FINISH_REASON_ANSWER);
  }
  for (int i = 0; i < decision->tool_calls_size(); ++i) {
    decision->mutable_tool_calls(i)->set_call_id(CallId{state.next_step(), i + 1}.ToString());
  }
  std::vector<v1::Event> refusals;
  for (int i = 0; i < decision->tool_calls_size(); ++i) {
    if (state.model.grace) {
      refusals.push_back(NotRun(CallId{state.next_step(), i + 1}, "not run: the run is at its limit, and this was its last decision"));
    } else if (auto refusal = RefusalOfCall(plan, CallId{state.next_step(), i + 1}, decision->tool_calls(i)))
      refusals.push_back(*std::move(refusal));
  }
  facts.push_back(std::move(fact));
  for (v1::Event& refusal : refusals) facts.push_back(std::move(refusal));
  return facts;
}

}  // namespace agentruntime
