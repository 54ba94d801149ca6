#include "runtime/act.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proto/base/planted_bug.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/ask.h"
#include "runtime/backoff.h"
#include "runtime/finished.h"
#include "runtime/grant.h"
#include "runtime/idempotency.h"

namespace agentruntime {
namespace {

// For the model.
constexpr char kDeniedToFork[] = "denied: this run is a fork that may call read-only tools only, and this tool changes something; go on without it";

std::string NoSuchTool(const RunPlan& plan, absl::string_view name) {
  std::vector<std::string> names;
  for (const auto& [known, planned] : plan.tools) names.push_back(known);
  std::string text = absl::StrCat("there is no tool named \"", OneLine(name, 64), "\"");
  const std::string nearest = NearestName(name, names);
  if (!nearest.empty()) absl::StrAppend(&text, "; did you mean \"", nearest, "\"?");
  return text;
}

bool IsRepeatable(v1::SideEffect side_effect) { return side_effect == v1::SIDE_EFFECT_READ_ONLY || side_effect == v1::SIDE_EFFECT_IDEMPOTENT; }

v1::Event Failed(const CallState& call, absl::string_view reason, std::string message, bool definite, std::optional<absl::Time> retry_time) {
  v1::Event fact;
  fact.set_step(call.id.step);
  v1::CallFailed* const failed = fact.mutable_call_failed();
  failed->set_call_id(call.id.ToString());
  failed->set_attempt(call.attempts);
  failed->mutable_error()->set_reason(std::string(reason));
  failed->mutable_error()->set_message(std::move(message));
  failed->mutable_error()->set_retryable(retry_time.has_value());
  failed->mutable_error()->set_call_id(call.id.ToString());
  failed->set_definite(definite);
  if (retry_time) *failed->mutable_retry_time() = ToProto(*retry_time);
  return fact;
}

// Of the child of a call that ends without a result. What certainly failed before a child could begin used nothing; where nobody knows, the grant is booked.
v1::Usage UsageOfFailed(const CallState& call, const ToolFailed* failed) {
  if (failed != nullptr && failed->usage != nullptr) return *failed->usage;
  return failed != nullptr && call.attempts == 1 ? v1::Usage() : GrantedUsage(call);
}

// What another run was asked for and its tool, which an operator has changed since, does not ask for any more. Nobody waits for what the child used.
v1::Event FinishedWithoutChild(const CallState& call, std::string text) {
  v1::Event fact = FinishedWithText(call.id, v1::CALL_OUTCOME_ERROR, std::move(text));
  *fact.mutable_call_finished()->mutable_usage() = GrantedUsage(call);
  return fact;
}

v1::Event FinishedWithoutTool(const RunPlan& plan, const CallState& call, absl::string_view name) {
  std::string text = NoSuchTool(plan, name);
  if (call.child != nullptr) return FinishedWithoutChild(call, std::move(text));
  if (call.in_doubt) return FinishedUncertain(call.id, absl::StrCat(text, "; an earlier attempt of the call may have taken effect"));
  return FinishedWithText(call.id, v1::CALL_OUTCOME_ERROR, std::move(text));
}

}  // namespace

v1::Event StartOfCall(const RunState& state, const RunPlan& plan, const StepState& step, const CallState& call, absl::Time now) {
  const v1::ToolCall& request = RequestOf(step, call);
  const auto planned = plan.tools.find(request.tool());
  if (planned == plan.tools.end()) return FinishedWithoutTool(plan, call, request.tool());
  const ToolSpec& spec = *planned->second.spec;
  if (call.child != nullptr && !spec.child) {
    return FinishedWithoutChild(call, absl::StrCat("the tool \"", request.tool(), "\" asks no other agent any more; ask anew"));
  }
  if (!state.allow_side_effects && spec.side_effect != v1::SIDE_EFFECT_READ_ONLY) return FinishedWithText(call.id, v1::CALL_OUTCOME_DENIED, kDeniedToFork);
  if (auto question = QuestionBeforeCall(plan, step, call, now)) return *std::move(question);
  const std::string& arguments = ArgumentsOf(step, call);
  std::optional<v1::Child> child;
  if (call.child != nullptr) {
    child = call.child->call_started().child();  // the same run with the same grant
  } else if (spec.child) {
    Granted granted = GrantOf(state, plan, step, spec);
    if (!granted.child) return NotRun(call.id, std::move(granted.refusal));
    child = std::move(granted.child);
  }
  v1::Event fact;
  fact.set_step(call.id.step);
  v1::CallStarted* const started = fact.mutable_call_started();
  started->set_call_id(call.id.ToString());
  started->set_attempt(call.attempts + 1);
  if (call.started != nullptr) {
    // Read back, not computed again: the same also where another version began it, which may write arguments otherwise.
    started->set_idempotency_key(call.started->call_started().idempotency_key());
    started->set_rule(call.started->call_started().rule());
  } else {
    started->set_idempotency_key(IdempotencyKey(state.id, call.id, request.tool(), arguments));
    if (call.allowed != nullptr) started->set_rule(call.waiting->call_waiting().rule());
  }
  if (arguments != request.arguments()) started->set_arguments(arguments);
  started->set_side_effect(spec.side_effect);
  *started->mutable_timeout() = ToProto(spec.timeout);
  if (child) *started->mutable_child() = *std::move(child);
  return fact;
}

std::optional<v1::Event> RefusalOfCall(const RunPlan& plan, const CallId& id, const v1::ToolCall& call) {
  const auto planned = plan.tools.find(call.tool());
  if (planned == plan.tools.end()) return FinishedWithText(id, v1::CALL_OUTCOME_ERROR, NoSuchTool(plan, call.tool()));
  const absl::Status status = planned->second.check(call.arguments());
  if (status.ok()) return std::nullopt;
  return FinishedWithText(id, v1::CALL_OUTCOME_ERROR, absl::StrCat("invalid arguments: ", std::string(status.message())));
}

v1::Event NotRun(const CallId& id, std::string text) { return FinishedWithText(id, v1::CALL_OUTCOME_NOT_RUN, std::move(text)); }

ToolRequest BuildToolRequest(const RunState& state, const RunPlan& plan, const StepState& step, const CallState& call) {
  const v1::ToolCall& asked = RequestOf(step, call);
  ToolRequest request;
  request.run = state.id;
  request.call = call.id;
  request.attempt = call.attempts;
  request.arguments = ArgumentsOf(step, call);
  request.idempotency_key = call.started->call_started().idempotency_key();
  const ToolSpec& spec = *plan.tools.at(asked.tool()).spec;
  request.timeout = spec.timeout;
  if (spec.reads_artifacts) request.artifacts = state.artifacts;
  if (call.child != nullptr) request.child = OrderOf(state, call, spec);
  return request;
}

v1::Event FactOfOutcome(const CallState& call, const ToolSpec& spec, CallEnd end, absl::Time now, double random) {
  if (auto* done = std::get_if<ToolDone>(&end.outcome)) {
    v1::Event fact;
    fact.set_step(call.id.step);
    v1::CallFinished* const finished = fact.mutable_call_finished();
    finished->set_call_id(call.id.ToString());
    finished->set_outcome(v1::CALL_OUTCOME_OK);
    for (v1::Part& part : done->parts) *finished->add_result() = std::move(part);
    *finished->mutable_duration() = ToProto(end.duration);
    if (call.child != nullptr) *finished->mutable_usage() = done->usage != nullptr ? *done->usage : GrantedUsage(call);
    if (call.child != nullptr && IsPlanted(Bug::kForgetChildUsage)) *finished->mutable_usage() = v1::Usage();
    return fact;
  }
  const auto* failed = std::get_if<ToolFailed>(&end.outcome);
  const auto* unknown = std::get_if<ToolUnknown>(&end.outcome);
  std::string message = MakeValidUtf8(failed != nullptr ? failed->message : unknown->message);
  absl::string_view reason = "TOOL_FAILED";
  if (end.timed_out) {
    reason = "TOOL_TIMEOUT";
    const std::string late = absl::StrCat("no result within ", absl::FormatDuration(spec.timeout));
    // A tool that has done nothing says what it waited for.
    message = failed != nullptr ? absl::StrCat(late, ": ", message) : late;
  }
  message = std::string(CutUtf8(message, kDescriptionBytesMax));
  // What certainly took no effect may always be repeated; what may have taken one only if repeating does no harm.
  const bool definite = failed != nullptr;
  const bool retryable = (definite && failed->retryable && !end.timed_out) || ((!definite || end.timed_out) && IsRepeatable(call.side_effect));
  if (retryable && call.attempts < spec.attempts_max) {
    const auto wish = failed != nullptr ? failed->retry_after : std::nullopt;
    return Failed(call, reason, std::move(message), definite, now + BackoffDelay(call.attempts, random, wish));
  }
  // Also where this attempt certainly took no effect, and an earlier one may have.
  if (call.in_doubt || (!definite && !IsRepeatable(call.side_effect))) return Failed(call, reason, std::move(message), /*definite=*/false, std::nullopt);
  v1::Event fact = FinishedWithText(call.id, v1::CALL_OUTCOME_ERROR, std::move(message));
  *fact.mutable_call_finished()->mutable_duration() = ToProto(end.duration);
  if (call.child != nullptr) *fact.mutable_call_finished()->mutable_usage() = UsageOfFailed(call, failed);
  return fact;
}

}  // namespace agentruntime
