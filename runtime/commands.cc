#include "runtime/commands.h"

#include <algorithm>
#include <utility>

#include "proto/base/planted_bug.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "runtime/budget.h"
#include "runtime/event_size.h"
#include "runtime/limits.h"
#include "runtime/stop.h"
#include "runtime/view.h"

namespace agentruntime {
namespace {

// Also a resume that a new run of the conversation has overtaken: who asks again hears of that one.
absl::Status TakenOver() { return StoreUnavailable("another server has taken the run over, or its conversation went on"); }

void ReplyWhenDurable(Session& session, std::shared_ptr<Reply<v1::Run>> reply) {
  if (IsPlanted(Bug::kReplyBeforeDurable)) reply->Complete(RunOf(session.state()));
  session.WhenDurable([run = RunOf(session.state()), reply = std::move(reply)](bool durable) mutable {
    if (durable) {
      reply->Complete(std::move(run));
    } else {
      reply->Complete(TakenOver());
    }
  });
}

// A refusal rests on what the run came to, and a crash may still take that back: who was told that a run is stopped would find it at work.
void RefuseWhenDurable(Session& session, absl::Status refusal, std::shared_ptr<Reply<v1::Run>> reply) {
  session.WhenDurable(
      [refusal = std::move(refusal), reply = std::move(reply)](bool durable) mutable { reply->Complete(durable ? std::move(refusal) : TakenOver()); });
}

void RecordAndReply(Session& session, std::vector<v1::Event> facts, std::shared_ptr<Reply<v1::Run>> reply) {
  for (const v1::Event& fact : facts) {
    if (absl::Status status = CheckEventSize(fact); !status.ok()) {
      reply->Complete(std::move(status));
      return;
    }
  }
  session.Record(std::move(facts));
  ReplyWhenDurable(session, std::move(reply));
}

// A command that took effect before is answered again, and nothing else happens; the same key with another request is refused. True: it was answered here.
bool WasSeen(Session& session, const std::string& request_id, const std::string& request_hash, const std::shared_ptr<Reply<v1::Run>>& reply) {
  if (request_id.empty()) return false;
  const auto& requests = session.state().seen_requests;
  const auto seen = std::find_if(requests.begin(), requests.end(), [&](const SeenRequest& request) { return request.request_id == request_id; });
  if (seen == requests.end()) return false;
  if (seen->request_hash == request_hash) {
    ReplyWhenDurable(session, reply);
  } else {
    RefuseWhenDurable(session, RequestIdReused(request_id, session.state().id), reply);
  }
  return true;
}

// What a resume adds beside its input: itself and the start behind it, with limits, names and the request's id.
constexpr int64_t kResumeEvents = 2;
constexpr int64_t kResumeBytesMax = 4096;

int64_t BytesOf(const std::vector<v1::Part>& input) {
  int64_t bytes = 0;
  for (const v1::Part& part : input) bytes += static_cast<int64_t>(part.ByteSizeLong());
  return bytes;
}

// What people may add to a journal ends at half of it: the run itself is asked about the rest before each decision only.
absl::Status CheckRoom(const RunState& state, int64_t bytes) {
  const bool fits = state.last_sequence < kEventsMax / 2 && state.journal_bytes + bytes <= kJournalBytesMax / 2;
  return fits ? absl::OkStatus() : JournalFull(state.id);
}

// The limit's new value in the unit of LimitHit, or the present one.
int64_t ValueOf(const v1::Limits& limits, const v1::Limits& present, const std::string& limit) {
  if (limit == "max_steps") return limits.has_max_steps() ? limits.max_steps() : present.max_steps();
  if (limit == "max_tool_calls") return limits.has_max_tool_calls() ? limits.max_tool_calls() : present.max_tool_calls();
  if (limit == "max_tokens") return limits.has_max_tokens() ? limits.max_tokens() : present.max_tokens();
  if (limit == "max_repeats") return limits.has_max_repeats() ? limits.max_repeats() : present.max_repeats();
  if (limit == "max_cost_micros") return limits.has_max_cost_micros() ? limits.max_cost_micros() : present.max_cost_micros();
  return absl::ToInt64Milliseconds(FromProto(limits.has_timeout() ? limits.timeout() : present.timeout()));
}

}  // namespace

absl::Status CheckResume(const RunState& state, absl::Time now, const v1::Limits& limits, std::optional<absl::Time> deadline,
                         const std::vector<v1::Part>& input) {
  if (!state.is_stopped()) return RunNotStopped(state.id, state.phase);
  const v1::Stop& stop = state.stopped->run_stopped().stop();
  if (!state.parent_call().empty()) return RunAnswersCall(state.id, state.parent_call());
  if (stop.reason() == v1::STOP_REASON_FINAL_ANSWER) return RunAnswered(state.id);
  if (!stop.resumable()) return RunNotResumable(state.id, stop.detail());
  // Stops leave the run resumable, so that without this bound resumes alone would fill the journal.
  if (!HasRoomForDecision(state, kResumeEvents, BytesOf(input) + kResumeBytesMax)) return JournalFull(state.id);
  if (stop.limit().limit() == "deadline") {
    const bool later = deadline && *deadline > std::max(now, absl::FromUnixMillis(stop.limit().count()));
    return later ? absl::OkStatus() : DeadlineNotRaised(state.id);
  }
  if (stop.reason() == v1::STOP_REASON_LOOP_DETECTED && !input.empty()) return absl::OkStatus();
  if (stop.has_limit() && ValueOf(limits, state.limits, stop.limit().limit()) <= stop.limit().count()) return LimitNotRaised(state.id, stop.limit());
  return absl::OkStatus();
}

void RequestCancel(Session& session, CancelCommand command) {
  if (session.state().is_stopped() || session.state().is_cancelling()) return;
  std::vector<v1::Event> facts(1);
  facts[0].set_step(session.state().usage.steps());
  v1::CancelRequested* const requested = facts[0].mutable_cancel_requested();
  *requested->mutable_cancellation() = std::move(command.cancellation);
  *requested->mutable_grace() = ToProto(session.options().cancel_grace);
  requested->set_request_id(std::move(command.request_id));
  requested->set_request_hash(std::move(command.request_hash));
  session.Record(std::move(facts));
  session.AbortAttempts();
}

void CancelRun(Session& session, CancelCommand command, std::shared_ptr<Reply<v1::Run>> reply) {
  if (WasSeen(session, command.request_id, command.request_hash, reply)) return;
  RequestCancel(session, std::move(command));
  ReplyWhenDurable(session, std::move(reply));
}

void ResumeRun(Session& session, ResumeCommand command, std::shared_ptr<Reply<v1::Run>> reply) {
  const RunState& state = session.state();
  if (WasSeen(session, command.request_id, command.request_hash, reply)) return;
  absl::Status allowed = CheckMaximum(command.limits, session.options().maximum_limits, "limits");
  if (allowed.ok() && command.later_run) allowed = ConversationWentOn(state.id, *command.later_run);
  if (allowed.ok()) allowed = CheckResume(state, command.now, command.limits, command.deadline, command.input);
  if (allowed.ok()) allowed = CheckPrice(state.limits.has_max_cost_micros() ? state.limits : command.limits, session.plan());
  if (!allowed.ok()) return RefuseWhenDurable(session, std::move(allowed), std::move(reply));
  v1::Event fact;
  fact.set_step(state.usage.steps());
  v1::RunResumed* const resumed = fact.mutable_run_resumed();
  *resumed->mutable_limits() = std::move(command.limits);
  for (v1::Part& part : command.input) *resumed->add_input() = std::move(part);
  if (command.deadline) *resumed->mutable_deadline() = ToProto(*command.deadline);
  resumed->set_request_id(std::move(command.request_id));
  resumed->set_request_hash(std::move(command.request_hash));
  resumed->set_principal(std::move(command.principal));
  std::vector<v1::Event> facts;
  facts.push_back(std::move(fact));
  RecordAndReply(session, std::move(facts), std::move(reply));
}

absl::Status CheckInput(const RunState& state, int64_t bytes) {
  if (state.is_stopped()) return RunTakesNoInput(state.id, "it is stopped; ResumeRun goes on and takes input, unless it answered");
  if (state.is_cancelling()) return RunTakesNoInput(state.id, "it is being cancelled");
  // First in the journal wins: the answer is final.
  if (const StepState* const step = state.last_step(); step != nullptr && step->calls.empty() && state.finish_reason == v1::FINISH_REASON_ANSWER) {
    return RunAnswered(state.id);
  }
  return CheckRoom(state, bytes);
}

void SendInput(Session& session, InputCommand command, std::shared_ptr<Reply<v1::Run>> reply) {
  if (WasSeen(session, command.request_id, command.request_hash, reply)) return;
  absl::Status allowed = CheckInput(session.state(), BytesOf(command.input));
  if (!allowed.ok()) return RefuseWhenDurable(session, std::move(allowed), std::move(reply));
  std::vector<v1::Event> facts(1);
  facts[0].set_step(session.state().usage.steps());
  v1::InputReceived* const received = facts[0].mutable_input_received();
  for (v1::Part& part : command.input) *received->add_input() = std::move(part);
  received->set_principal(std::move(command.principal));
  received->set_request_id(std::move(command.request_id));
  received->set_request_hash(std::move(command.request_hash));
  RecordAndReply(session, std::move(facts), std::move(reply));
}

absl::Status CheckResolve(const RunState& state, const RunPlan& plan, const CallId& call, const v1::CallAnswer& answer) {
  const CallState* const last = state.FindCall(call);
  if (last != nullptr && last->phase == CallPhase::kWaiting && state.is_live() && !state.is_cancelling()) {
    RETURN_IF_ERROR(CheckAnswer(state, plan, *last, answer));
    if (!answer.has_run_again()) return absl::OkStatus();
    return CheckRoom(state, static_cast<int64_t>(ArgumentsOf(*state.last_step(), *last).size()));
  }
  for (const HistoryItem& item : state.history) {
    const auto* const step = std::get_if<StepState>(&item);
    if (step == nullptr || step->number != call.step) continue;
    if (call.index >= 1 && call.index <= static_cast<int32_t>(step->calls.size())) return CallNotWaiting(state.id, call);
  }
  return CallNotFound(state.id, call);
}

void ResolveCall(Session& session, ResolveCommand command, std::shared_ptr<Reply<v1::Run>> reply) {
  if (WasSeen(session, command.resolution.request_id, command.resolution.request_hash, reply)) return;
  absl::Status allowed = CheckResolve(session.state(), session.plan(), command.call, command.resolution.answer);
  if (!allowed.ok()) return RefuseWhenDurable(session, std::move(allowed), std::move(reply));
  RecordAndReply(session, FactsOfAnswer(*session.state().FindCall(command.call), std::move(command.resolution)), std::move(reply));
}

}  // namespace agentruntime
