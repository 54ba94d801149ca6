// Runs that answer calls of other runs.
#include "absl/strings/str_split.h"
#include "proto/util/names.h"
#include "tests/simulation/judge.h"

namespace agentruntime::simulation {

// `event` is about to be the next of `known`.
void Judge::CheckChildren(const Known& known, const v1::Event& event) {
  if (event.has_run_created() && !event.run_created().parent_call().empty()) return CheckChild(known.fold.id, event.run_created());
  if (!event.has_call_finished()) return;
  const JournalRules::Call* const call = known.rules.FindCall(event.call_finished().call_id());
  if (call != nullptr && call->child) CheckResultOfChild(known, event.call_finished(), *call->child);
}

// It is the run that an open call names, with no more than that grants.
void Judge::CheckChild(const RunId& run, const v1::RunCreated& created) {
  ++counts.children;
  const std::string what = absl::StrCat(run.ToString(), " of ", created.parent_call());
  const std::vector<std::string> parts = absl::StrSplit(created.parent_call(), "/calls/");
  const auto id = parts.size() == 2 ? ParseRunName(parts[0]) : std::nullopt;
  const Known* const parent = id ? Find(*id) : nullptr;
  const JournalRules::Call* const call = parent == nullptr ? nullptr : parent->rules.FindCall(parts[1]);
  if (call == nullptr || !call->child || call->child->run() != RunName(run)) return world_.Fail("child: no call names ", what);
  if (call->at != JournalRules::Call::At::kOpen) return world_.Fail("child: the call is not open that begins ", what);
  const v1::Limits& grant = call->child->grant();
  if (created.limits().max_tokens() > grant.max_tokens()) world_.Fail("child: more tokens than are granted to ", what);
  if (grant.has_max_cost_micros() && (!created.limits().has_max_cost_micros() || created.limits().max_cost_micros() > grant.max_cost_micros())) {
    world_.Fail("child: more money than is granted to ", what);
  }
  const v1::Event& accepted = parent->fold.accepted();
  const int32_t depth = accepted.has_run_created() ? accepted.run_created().depth() : 0;
  if (created.depth() != depth + 1) world_.Fail("child: the depth is wrong of ", what);
}

// A call is settled when its child has stopped or will stop whatever happens; and with what the child said and used, or with nothing of it.
void Judge::CheckResultOfChild(const Known& known, const v1::CallFinished& finished, const v1::Child& named) {
  const std::string what = absl::StrCat("call ", finished.call_id(), " of ", known.fold.id.ToString());
  const auto id = ParseRunName(named.run());
  const Known* const child = id ? Find(*id) : nullptr;
  const bool ends = child == nullptr || child->deleted || child->rules.phase() == JournalRules::Phase::kStopped || child->rules.cancelling();
  if (!ends) return world_.Fail("child: ", what, " is settled, and ", named.run(), " goes on");
  const int64_t booked = finished.usage().input_tokens() + finished.usage().output_tokens();
  if (child == nullptr) {
    if (finished.outcome() == v1::CALL_OUTCOME_OK) world_.Fail("child: a result of no run, ", what);
    if (booked != 0 && booked != named.grant().max_tokens()) world_.Fail("child: ", booked, " tokens are booked for a run that never began, ", what);
    return;
  }
  const bool answered = child->rules.phase() == JournalRules::Phase::kStopped && child->rules.stop().reason() == v1::STOP_REASON_FINAL_ANSWER;
  if (finished.outcome() == v1::CALL_OUTCOME_OK) {
    ++counts.child_results;
    if (!answered) return world_.Fail("child: ", what, " has a result, and ", named.run(), " has no answer");
  } else if (finished.outcome() == v1::CALL_OUTCOME_ERROR && answered && !child->deleted && !known.rules.cancelling()) {
    return world_.Fail("child: ", what, " is an error, and ", named.run(), " has answered");
  }
  if (booked != child->rules.tokens() && booked != named.grant().max_tokens()) {
    world_.Fail("child: ", booked, " tokens are booked for ", what, ", used were ", child->rules.tokens());
  }
  if (finished.outcome() == v1::CALL_OUTCOME_OK && booked != child->rules.tokens()) world_.Fail("child: other tokens are booked than were used, ", what);
}

}  // namespace agentruntime::simulation
