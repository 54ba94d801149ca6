#include "clients/cli/event_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cli/format.h"
#include "clients/cli/result_text.h"
#include "clients/cli/row.h"
#include "clients/cli/run_view.h"
#include "clients/cli/text.h"
#include "proto/util/money.h"
#include "proto/util/time.h"

namespace agentruntime::cli {
namespace {

constexpr size_t kCharactersMax = 200;
constexpr size_t kErrorCharactersMax = 500;  // an error ends with what can be done about it

std::string DecisionText(const v1::Decision& decision) {
  std::string text = absl::StrCat("model ", decision.model(), " decided in ", FormatElapsed(FromProto(decision.duration())), ": ");
  if (decision.tool_calls().empty()) return absl::StrCat(text, PartsText(decision.content()));
  return absl::StrCat(text, absl::StrJoin(decision.tool_calls(), ", ",
                                          [](std::string* out, const v1::ToolCall& call) { absl::StrAppend(out, call.call_id(), " ", call.tool()); }));
}

absl::string_view StartedText(v1::StartCause cause) {
  if (cause == v1::START_CAUSE_RECOVERED) return "taken up again by ";
  return cause == v1::START_CAUSE_RESTORED ? "held, because the store is a restored copy, by " : "started by ";
}

std::string AskedText(const v1::ModelCalled& called) {
  std::string text = absl::StrCat("model ", called.model(), " asked, attempt ", called.attempt(), ", ", FormatCount(called.reserved_tokens()), " tokens");
  if (called.has_reserved_cost_micros()) absl::StrAppend(&text, " and ", FormatMicros(called.reserved_cost_micros()));
  absl::StrAppend(&text, " reserved");
  if (called.purpose() == v1::MODEL_PURPOSE_SUMMARIZE) absl::StrAppend(&text, ", for a summary of old steps");
  if (called.grace_step()) absl::StrAppend(&text, ", for an answer at the limit");
  return text;
}

std::string AnswerText(const v1::CallResolved& resolved) {
  std::string by = resolved.expired() ? "nobody answered in time" : absl::StrCat("answered by ", resolved.principal());
  switch (resolved.answer().kind_case()) {
    case v1::CallAnswer::kRunAgain: return absl::StrCat(by, ": run it again");
    case v1::CallAnswer::kResult: return absl::StrCat(by, ": here is the result");
    case v1::CallAnswer::kGiveUp:
      return absl::StrCat(by, ": nobody can say", resolved.answer().give_up().reason().empty() ? "" : ", ", resolved.answer().give_up().reason());
    case v1::CallAnswer::kAllow: {
      const std::string& arguments = resolved.answer().allow().arguments();
      return absl::StrCat(by, arguments.empty() ? ": allowed" : absl::StrCat(": allowed with ", arguments));
    }
    case v1::CallAnswer::kDeny: return absl::StrCat(by, ": denied", resolved.answer().deny().reason().empty() ? "" : ", ", resolved.answer().deny().reason());
    case v1::CallAnswer::KIND_NOT_SET: break;
  }
  return by;
}

// What `event` leaves of the run's deadline.
absl::Time DeadlineAfter(const v1::Event& event, absl::Time before) {
  const auto of = [](const auto& fact, absl::Time without) { return fact.has_deadline() ? FromProto(fact.deadline()) : without; };
  if (event.has_run_created()) return of(event.run_created(), absl::InfiniteFuture());
  if (event.has_run_forked()) return of(event.run_forked(), absl::InfiniteFuture());
  return event.has_run_resumed() ? of(event.run_resumed(), before) : before;
}

std::string Raw(const v1::Event& event, absl::Time deadline) {
  switch (event.kind_case()) {
    case v1::Event::kRunCreated:
      return absl::StrCat("created for ", event.run_created().agent(),
                          event.run_created().parent_call().empty() ? "" : absl::StrCat(" by ", event.run_created().parent_call()), ": ",
                          PartsText(event.run_created().input()));
    case v1::Event::kRunForked: {
      const v1::RunForked& forked = event.run_forked();
      const std::string input = PartsText(forked.input());
      return absl::StrCat("forked from ", forked.source().run(), " behind event ", forked.source().sequence(), " for ", forked.agent(),
                          input.empty() ? "" : ": ", input);
    }
    case v1::Event::kRunStarted: return absl::StrCat(StartedText(event.run_started().cause()), event.run_started().node(), ", epoch ", event.epoch());
    case v1::Event::kModelCalled: return AskedText(event.model_called());
    case v1::Event::kModelFailed: return absl::StrCat("model failed, attempt ", event.model_failed().attempt(), ": ", event.model_failed().error().message());
    case v1::Event::kDecisionMade: return DecisionText(event.decision_made().decision());
    case v1::Event::kCallStarted:
      return absl::StrCat("call ", event.call_started().call_id(), " started, attempt ", event.call_started().attempt(),
                          event.call_started().has_child() ? absl::StrCat(", answered by ", BareRun(event.call_started().child().run())) : "");
    case v1::Event::kCallFailed:
      return absl::StrCat("call ", event.call_failed().call_id(), " failed, attempt ", event.call_failed().attempt(),
                          event.call_failed().definite() ? "" : " (its effect is not known)", ": ", event.call_failed().error().message());
    case v1::Event::kContextCompacted:
      return absl::StrCat(
          "context made shorter up to event ", event.context_compacted().up_to_sequence(), ": ",
          event.context_compacted().strategy() == v1::COMPACTION_STRATEGY_SUMMARIZE ? event.context_compacted().summary() : "results of old steps are cleared");
    case v1::Event::kCallWaiting:
      return absl::StrCat("call ", event.call_waiting().call_id(), " waits for a person ",
                          FormatWaitEnd(FromProto(event.call_waiting().expire_time()), deadline), ": ", event.call_waiting().text());
    case v1::Event::kCallResolved: return absl::StrCat("call ", event.call_resolved().call_id(), " ", AnswerText(event.call_resolved()));
    case v1::Event::kCallFinished: {
      const v1::CallFinished& finished = event.call_finished();
      const std::string result = ResultText(finished.result());
      return absl::StrCat("call ", finished.call_id(), " ", OutcomeName(finished.outcome()),
                          finished.has_duration() ? absl::StrCat(" in ", FormatElapsed(FromProto(finished.duration()))) : "", result.empty() ? "" : ": ",
                          result);
    }
    case v1::Event::kInputReceived: return absl::StrCat("input of ", event.input_received().principal(), ": ", PartsText(event.input_received().input()));
    case v1::Event::kCancelRequested:
      return absl::StrCat("cancel asked for by ", event.cancel_requested().cancellation().principal(), ": ", event.cancel_requested().cancellation().cause());
    case v1::Event::kRunStopped: return absl::StrCat("stopped: ", ReasonName(event.run_stopped().stop().reason()), ", ", StopText(event.run_stopped().stop()));
    case v1::Event::kRunResumed: return absl::StrCat("resumed by ", event.run_resumed().principal());
    case v1::Event::KIND_NOT_SET: break;
  }
  return "an event of a kind that this agentctl does not know";
}

}  // namespace

std::string EventLines::Take(const v1::Event& event) {
  deadline_ = DeadlineAfter(event, deadline_);
  return PrintableLine(Raw(event, deadline_), event.has_call_failed() || event.has_model_failed() ? kErrorCharactersMax : kCharactersMax);
}

}  // namespace agentruntime::cli
