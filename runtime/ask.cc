#include "runtime/ask.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/planted_bug.h"
#include "proto/base/text.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "runtime/finished.h"
#include "runtime/idempotency.h"

namespace agentruntime {
namespace {

constexpr absl::string_view kCutMark = " ...";

// What a person reads must not look whole where it is not. Texts that OneLine cut have kWaitTextBytesMax characters and an ellipsis: they are cut here as well.
std::string WaitText(absl::string_view text) {
  if (text.size() <= kWaitTextBytesMax) return std::string(text);
  return absl::StrCat(CutUtf8(text, kWaitTextBytesMax - kCutMark.size()), kCutMark);
}

absl::Duration WaitOf(const v1::Agent& agent) { return agent.has_call_wait() ? FromProto(agent.call_wait()) : kCallWaitDefault; }

// Whoever has to be asked is asked until then.
v1::Event Waiting(const RunPlan& plan, const CallState& call, v1::WaitKind kind, absl::string_view text, absl::Time now) {
  v1::Event fact;
  fact.set_step(call.id.step);
  v1::CallWaiting* const waiting = fact.mutable_call_waiting();
  waiting->set_call_id(call.id.ToString());
  waiting->set_kind(kind);
  waiting->set_text(WaitText(text));
  *waiting->mutable_expire_time() = ToProto(now + WaitOf(*plan.agent));
  if (kind == v1::WAIT_KIND_APPROVAL) {
    waiting->mutable_default_answer()->mutable_deny();
  } else {
    waiting->mutable_default_answer()->mutable_give_up();
  }
  return fact;
}

// Of a tool that asks a person: `arguments` fit its schema.
std::string QuestionIn(absl::string_view arguments) {
  const auto parsed = nlohmann::json::parse(arguments.begin(), arguments.end(), nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object() || !parsed.contains("question") || !parsed["question"].is_string()) return "";
  return parsed["question"].get<std::string>();
}

std::string CallLine(const v1::ToolCall& asked) { return absl::StrCat(OneLine(asked.tool(), 64), " ", OneLine(asked.arguments(), kWaitTextBytesMax)); }

v1::WaitKind KindOf(const CallState& call) { return call.waiting->call_waiting().kind(); }

// What the model reads when a person refused the call.
std::string Denied(const v1::Deny& deny, bool expired) {
  if (expired) return "denied: this call needs a person's word, and nobody gave it in time; go on without it";
  if (deny.reason().empty()) return "denied: a person refused this call; go on without it";
  return absl::StrCat("denied: a person refused this call: ", deny.reason());
}

// What the model reads when its question has no answer.
std::string Unanswered(const v1::GiveUp& given_up, bool expired) {
  if (expired) return "no answer: nobody was there to say in time; go on without it";
  if (given_up.reason().empty()) return "no answer: the person who was asked could not say; go on without it";
  return absl::StrCat("no answer: the person who was asked could not say: ", given_up.reason());
}

absl::string_view WaitsFor(v1::WaitKind kind) {
  switch (kind) {
    case v1::WAIT_KIND_APPROVAL: return "leave to be started";
    case v1::WAIT_KIND_QUESTION: return "the answer to its question";
    default: return "somebody who knows whether it took effect";
  }
}

absl::string_view AnswersTo(v1::WaitKind kind) {
  switch (kind) {
    case v1::WAIT_KIND_APPROVAL: return "allow, deny or result";
    case v1::WAIT_KIND_QUESTION: return "result or give_up";
    default: return "run_again, result or give_up";
  }
}

// Of a person, that calls of the step have already; without `call`.
int64_t AllowedBytes(const StepState& step, const CallState& call) {
  int64_t bytes = 0;
  for (const CallState& other : step.calls) {
    if (other.id == call.id || other.allowed == nullptr) continue;
    bytes += static_cast<int64_t>(other.allowed->call_resolved().answer().allow().arguments().size());
  }
  return bytes;
}

absl::Status CheckArguments(const RunPlan& plan, const StepState& step, const CallState& call, const std::string& arguments) {
  constexpr char kField[] = "answer.allow.arguments";
  const std::string& tool = RequestOf(step, call).tool();
  const auto planned = plan.tools.find(tool);
  if (planned == plan.tools.end()) {
    return InvalidField(kField,
                        absl::StrCat("cannot be checked: this server has no tool \"", OneLine(tool, 64), "\" any more; leave them out, or deny the call"));
  }
  if (const absl::Status fit = planned->second.check(arguments); !fit.ok()) return InvalidField(kField, fit.message());
  const int64_t bytes = AllowedBytes(step, call) + static_cast<int64_t>(arguments.size());
  if (bytes <= kAllowedArgumentsBytesMax) return absl::OkStatus();
  return InvalidField(kField,
                      absl::StrCat("with those that other calls of the step were given, ", bytes, " bytes are too many; at most ", kAllowedArgumentsBytesMax));
}

// What the model reads when a person gave up on the call.
std::string GivenUp(const v1::GiveUp& given_up, bool expired) {
  if (expired) return "uncertain: the call was started, its outcome is unknown, and nobody was there to say; check before you repeat it";
  if (given_up.reason().empty()) return "uncertain: the call was started and its outcome is unknown; a person could not tell either";
  return absl::StrCat("uncertain: the call was started and its outcome is unknown; a person says: ", given_up.reason());
}

}  // namespace

v1::Event QuestionAboutUncertain(const RunPlan& plan, const StepState& step, const CallState& call, absl::Time now) {
  return Waiting(plan, call, v1::WAIT_KIND_UNCERTAIN,
                 absl::StrCat("did this call take effect? Its attempt ", call.attempts,
                              " was started, nobody knows how it ended, and it may still be at work: ", CallLine(RequestOf(step, call))),
                 now);
}

std::optional<v1::Event> QuestionBeforeCall(const RunPlan& plan, const StepState& step, const CallState& call, absl::Time now) {
  const v1::ToolCall& asked = RequestOf(step, call);
  if (plan.tools.at(asked.tool()).spec->asks_person) {
    return Waiting(plan, call, v1::WAIT_KIND_QUESTION, OneLine(QuestionIn(asked.arguments()), kWaitTextBytesMax), now);
  }
  const auto& asking = plan.agent->approve_tools();
  if (IsPlanted(Bug::kSkipApproval)) return std::nullopt;
  if (call.allowed != nullptr || std::find(asking.begin(), asking.end(), asked.tool()) == asking.end()) return std::nullopt;
  v1::Event fact = Waiting(plan, call, v1::WAIT_KIND_APPROVAL, absl::StrCat("may this call be made? ", CallLine(asked)), now);
  fact.mutable_call_waiting()->set_rule("approve_tools");
  fact.mutable_call_waiting()->set_arguments_hash(ArgumentsHash(asked.tool(), asked.arguments()));
  return fact;
}

bool Fits(v1::WaitKind kind, v1::CallAnswer::KindCase answer) {
  switch (answer) {
    case v1::CallAnswer::kResult: return true;
    case v1::CallAnswer::kRunAgain: return kind == v1::WAIT_KIND_UNCERTAIN;
    case v1::CallAnswer::kGiveUp: return kind == v1::WAIT_KIND_UNCERTAIN || kind == v1::WAIT_KIND_QUESTION;
    case v1::CallAnswer::kAllow:
    case v1::CallAnswer::kDeny: return kind == v1::WAIT_KIND_APPROVAL;
    case v1::CallAnswer::KIND_NOT_SET: break;
  }
  return false;
}

absl::Status CheckAnswer(const RunState& state, const RunPlan& plan, const CallState& call, const v1::CallAnswer& answer) {
  const v1::WaitKind kind = KindOf(call);
  if (!Fits(kind, answer.kind_case())) return AnswerUnfit(state.id, call.id, WaitsFor(kind), AnswersTo(kind));
  if (answer.allow().arguments().empty()) return absl::OkStatus();
  return CheckArguments(plan, *state.last_step(), call, answer.allow().arguments());
}

std::vector<v1::Event> FactsOfAnswer(const CallState& call, Resolution resolution) {
  std::vector<v1::Event> facts(1);
  facts[0].set_step(call.id.step);
  v1::CallResolved* const resolved = facts[0].mutable_call_resolved();
  resolved->set_call_id(call.id.ToString());
  resolved->set_principal(std::move(resolution.principal));
  resolved->set_request_id(std::move(resolution.request_id));
  resolved->set_request_hash(std::move(resolution.request_hash));
  resolved->set_expired(resolution.expired);
  switch (resolution.answer.kind_case()) {
    case v1::CallAnswer::kRunAgain:
    case v1::CallAnswer::kAllow: break;
    case v1::CallAnswer::kDeny:
      facts.push_back(FinishedWithText(call.id, v1::CALL_OUTCOME_DENIED, Denied(resolution.answer.deny(), resolution.expired)));
      break;
    case v1::CallAnswer::kResult: {
      v1::Event finished;
      finished.set_step(call.id.step);
      finished.mutable_call_finished()->set_call_id(call.id.ToString());
      finished.mutable_call_finished()->set_outcome(v1::CALL_OUTCOME_OK);
      finished.mutable_call_finished()->mutable_result()->Swap(resolution.answer.mutable_result()->mutable_parts());
      facts.push_back(std::move(finished));
      break;
    }
    case v1::CallAnswer::kGiveUp:
    case v1::CallAnswer::KIND_NOT_SET:
      if (KindOf(call) == v1::WAIT_KIND_QUESTION) {
        facts.push_back(FinishedWithText(call.id, v1::CALL_OUTCOME_ERROR, Unanswered(resolution.answer.give_up(), resolution.expired)));
      } else {
        facts.push_back(FinishedUncertain(call.id, GivenUp(resolution.answer.give_up(), resolution.expired)));
      }
      break;
  }
  *facts[0].mutable_call_resolved()->mutable_answer() = std::move(resolution.answer);
  return facts;
}

Resolution DefaultAnswer(const CallState& call) {
  Resolution resolution;
  resolution.answer = call.waiting->call_waiting().default_answer();
  resolution.expired = true;
  return resolution;
}

absl::Time ExpiryOf(const CallState& call) { return FromProto(call.waiting->call_waiting().expire_time()); }

absl::Time FirstExpiryOf(const RunState& state) {
  absl::Time first = absl::InfiniteFuture();
  const StepState* const step = state.last_step();
  if (!state.is_live() || step == nullptr) return first;
  for (const CallState& call : step->calls) {
    if (call.phase == CallPhase::kWaiting) first = std::min(first, ExpiryOf(call));
  }
  return first;
}

std::vector<v1::WaitingCall> WaitingCallsOf(const RunState& state) {
  std::vector<v1::WaitingCall> calls;
  const StepState* const step = state.last_step();
  if (!state.is_live() || step == nullptr) return calls;
  for (const CallState& call : step->calls) {
    if (call.phase != CallPhase::kWaiting) continue;
    const v1::CallWaiting& waiting = call.waiting->call_waiting();
    v1::WaitingCall& shown = calls.emplace_back();
    shown.set_call_id(waiting.call_id());
    shown.set_tool(OneLine(RequestOf(*step, call).tool(), 64));
    shown.set_kind(waiting.kind());
    shown.set_text(waiting.text());
    *shown.mutable_expire_time() = waiting.expire_time();
    *shown.mutable_default_answer() = waiting.default_answer();
    *shown.mutable_since_time() = call.waiting->time();
  }
  return calls;
}

}  // namespace agentruntime
