#include "runtime/ask.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"

namespace agentruntime {
namespace {

absl::Duration WaitOf(const v1::Agent& agent) { return agent.has_call_wait() ? FromProto(agent.call_wait()) : kCallWaitDefault; }

// What the model reads when a person gave up on the call.
std::string GivenUp(const v1::GiveUp& given_up, bool expired) {
  if (expired) return "uncertain: the call was started, its outcome is unknown, and nobody was there to say; check before you repeat it";
  if (given_up.reason().empty()) return "uncertain: the call was started and its outcome is unknown; a person could not tell either";
  return absl::StrCat("uncertain: the call was started and its outcome is unknown; a person says: ", given_up.reason());
}

}  // namespace

v1::Event FinishedUncertain(const CallId& call, const std::string& text) {
  v1::Event fact;
  fact.set_step(call.step);
  v1::CallFinished* const finished = fact.mutable_call_finished();
  finished->set_call_id(call.ToString());
  finished->set_outcome(v1::CALL_OUTCOME_UNCERTAIN);
  finished->add_result()->set_text(text);
  return fact;
}

v1::Event QuestionAboutUncertain(const RunPlan& plan, const StepState& step, const CallState& call, absl::Time now) {
  const v1::ToolCall& asked = RequestOf(step, call);
  v1::Event fact;
  fact.set_step(call.id.step);
  v1::CallWaiting* const waiting = fact.mutable_call_waiting();
  waiting->set_call_id(call.id.ToString());
  waiting->set_kind(v1::WAIT_KIND_UNCERTAIN);
  waiting->set_text(std::string(CutUtf8(absl::StrCat("did this call take effect? Its attempt ", call.attempts,
                                                     " was started, nobody knows how it ended, and it may still be at work: ", OneLine(asked.tool(), 64), " ",
                                                     OneLine(asked.arguments(), kWaitTextBytesMax)),
                                        kWaitTextBytesMax)));
  *waiting->mutable_expire_time() = ToProto(now + WaitOf(*plan.agent));
  waiting->mutable_default_answer()->mutable_give_up();
  return fact;
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
    case v1::CallAnswer::kRunAgain: break;
    case v1::CallAnswer::kResult: {
      v1::Event finished;
      finished.set_step(call.id.step);
      finished.mutable_call_finished()->set_call_id(call.id.ToString());
      finished.mutable_call_finished()->set_outcome(v1::CALL_OUTCOME_OK);
      finished.mutable_call_finished()->mutable_result()->Swap(resolution.answer.mutable_result()->mutable_parts());
      facts.push_back(std::move(finished));
      break;
    }
    case v1::CallAnswer::kAllow:
    case v1::CallAnswer::kDeny:
    case v1::CallAnswer::kGiveUp:
    case v1::CallAnswer::KIND_NOT_SET: facts.push_back(FinishedUncertain(call.id, GivenUp(resolution.answer.give_up(), resolution.expired))); break;
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
