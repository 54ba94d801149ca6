#include "tests/simulation/journal_rules.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime::simulation {
namespace {

bool IsUnsafe(v1::SideEffect side_effect) { return side_effect != v1::SIDE_EFFECT_READ_ONLY && side_effect != v1::SIDE_EFFECT_IDEMPOTENT; }

}  // namespace

std::string JournalRules::Add(const v1::Event& event, const std::vector<v1::Agent>& agents, std::optional<Epoch> restored) {
  if (event.has_run_created()) SetAgent(event.run_created().agent(), agents);
  if (event.has_run_forked()) SetAgent(event.run_forked().agent(), agents);
  std::string broken = Envelope(event);
  if (broken.empty() && restored) broken = Restored(event, *restored);
  if (broken.empty()) broken = Kind(event);
  if (broken.empty()) broken = Once(event);
  epoch_ = event.epoch();
  ++counts_[event.kind_case()];
  if (!broken.empty()) absl::StrAppend(&broken, ": ", event.ShortDebugString());
  return broken;
}

void JournalRules::SetAgent(const std::string& name, const std::vector<v1::Agent>& agents) {
  approve_.clear();
  for (const v1::Agent& agent : agents) {
    if (absl::StartsWith(name, absl::StrCat(agent.name(), "/"))) approve_.insert(agent.approve_tools().begin(), agent.approve_tools().end());
  }
}

// Of the step that was just settled. The simulated models write the same arguments in the same way.
void JournalRules::CountRepeats() {
  if (grace_step_ == steps_) return;
  std::string calls;
  for (const auto& [id, call] : calls_) absl::StrAppend(&calls, call.tool, " ", call.arguments, " ", call.end, "\n");
  repeats_ = calls == last_calls_ ? repeats_ + 1 : 1;
  last_calls_ = std::move(calls);
}

const JournalRules::Call* JournalRules::FindCall(const std::string& call_id) const {
  const auto at = calls_.find(call_id);
  return at == calls_.end() ? nullptr : &at->second;
}

bool JournalRules::asked_again(const std::string& call_id, int32_t attempt) const {
  const Call* const call = FindCall(call_id);
  return call != nullptr && call->asked_again.contains(attempt - 1);
}

int64_t JournalRules::events(v1::Event::KindCase kind) const {
  const auto at = counts_.find(kind);
  return at == counts_.end() ? 0 : at->second;
}

bool JournalRules::AllSettled() const {
  return std::all_of(calls_.begin(), calls_.end(), [](const auto& entry) { return entry.second.at == Call::At::kSettled; });
}

bool JournalRules::AnyAnswered() const {
  return std::any_of(calls_.begin(), calls_.end(), [](const auto& entry) { return entry.second.at == Call::At::kAnswered; });
}

std::string JournalRules::Envelope(const v1::Event& event) {
  if (event.sequence() != last_ + 1) return absl::StrCat("sequence ", event.sequence(), " after ", last_);
  if (event.epoch() < epoch_) return absl::StrCat("epoch ", event.epoch(), " after ", epoch_);
  if (FromProto(event.time()) < time_) return "time runs backwards";
  if (event.active_us() < active_us_) return "active time runs backwards";
  if (phase_ != Phase::kLive && event.active_us() != active_us_) return "active time passed while the run was not active";
  if (AwaitsChildren() && event.active_us() != active_us_) return "active time passed while the run waited for its children only";
  last_ = event.sequence();
  time_ = FromProto(event.time());
  active_us_ = event.active_us();
  return "";
}

// A retry changes nothing. (A run remembers fewer requests than are made here of one.)
std::string JournalRules::Once(const v1::Event& event) {
  std::string request_id;
  if (event.has_cancel_requested()) request_id = event.cancel_requested().request_id();
  if (event.has_input_received()) request_id = event.input_received().request_id();
  if (event.has_call_resolved()) request_id = event.call_resolved().request_id();
  if (event.has_run_resumed()) request_id = event.run_resumed().request_id();
  return request_id.empty() || requests_.insert(request_id).second ? "" : absl::StrCat("request ", request_id, " took effect before");
}

std::string JournalRules::Kind(const v1::Event& event) {
  if ((phase_ == Phase::kNone) != event.has_run_created()) return "run_created is event 1 and no other";
  if (event.has_run_forked()) return Forked(event);
  // What a live run's new owner says first is that it owns it.
  if (phase_ == Phase::kLive && event.epoch() != started_epoch_ && !event.has_run_started()) return "a new owner begins with run_started";
  if (phase_ == Phase::kStopped && !event.has_run_resumed()) return "only run_resumed follows a stop";
  if (held_ && (event.has_model_called() || event.has_call_started() || event.has_call_waiting() || event.has_context_compacted())) {
    return "a run that is held goes on";
  }
  if (AnyAnswered() && !event.has_call_finished()) return "an answer that settles a call is followed by call_finished";
  switch (event.kind_case()) {
    case v1::Event::kRunCreated: return Created(event);
    case v1::Event::kRunStarted: return Started(event);
    case v1::Event::kModelCalled: return ModelCalled(event);
    case v1::Event::kModelFailed: return ModelFailed(event.model_failed());
    case v1::Event::kDecisionMade: return Decided(event);
    case v1::Event::kCallStarted: return CallStarted(event);
    case v1::Event::kCallFailed: return CallFailed(event.call_failed());
    case v1::Event::kCallWaiting: return CallWaiting(event.call_waiting());
    case v1::Event::kCallResolved: return CallResolved(event.call_resolved());
    case v1::Event::kCallFinished: return CallFinished(event.call_finished());
    case v1::Event::kContextCompacted: return Compacted(event.context_compacted());
    case v1::Event::kInputReceived: return InputReceived();
    case v1::Event::kCancelRequested: return CancelRequested();
    case v1::Event::kRunStopped: return Stopped(event);
    case v1::Event::kRunResumed: return Resumed(event.run_resumed());
    default: return "an event of no known kind";
  }
}

std::string JournalRules::Created(const v1::Event& event) {
  phase_ = Phase::kQueued;
  limits_ = event.run_created().limits();
  if (event.run_created().has_not_before_time()) not_before_ = FromProto(event.run_created().not_before_time());
  if (!limits_.has_max_steps() || !limits_.has_max_tool_calls() || !limits_.has_max_tokens() || !limits_.has_max_repeats() || !limits_.has_timeout())
    return "a limit is not set";
  if (event.run_created().input().empty()) return "there is no input";
  is_child_ = !event.run_created().parent_call().empty();
  if (is_child_ ? event.run_created().depth() < 1 || event.run_created().depth() > 8 : event.run_created().depth() != 0) return "the depth is wrong";
  if (event.run_created().has_deadline()) deadline_ = FromProto(event.run_created().deadline());
  if (is_child_ && deadline_ == absl::InfiniteFuture()) return "its call has no timeout";
  return "";
}

// What was unfinished in a restored store is taken up to be stopped, and in no other way.
std::string JournalRules::Restored(const v1::Event& event, Epoch restored) const {
  if (event.has_run_forked()) return "";  // somebody asked for it since
  const bool unfinished = phase_ == Phase::kQueued || phase_ == Phase::kLive;
  const bool to_be_held = unfinished && epoch_ < restored && event.epoch() >= restored;
  const bool held = event.has_run_started() && event.run_started().cause() == v1::START_CAUSE_RESTORED;
  if (to_be_held && !held && !(phase_ == Phase::kQueued && cancelling_)) return "a restored store goes on with what was unfinished in it";
  return held && !to_be_held ? "it is held, and was not unfinished when the store was restored" : "";
}

// Behind the events that are shared, as if they were its own: at the end of a step, and free of what befell the source.
std::string JournalRules::Forked(const v1::Event& event) {
  const v1::RunForked& forked = event.run_forked();
  if (forked.source().sequence() != event.sequence() - 1) return "it does not follow what it shares";
  if (model_open_ || model_attempts_ > 0) return "a step has begun";
  if (!AllSettled()) return "a call is not settled";
  if (steps_ == 0 && event.sequence() != 2) return "more than the input is shared, and no step";
  limits_ = forked.limits();
  if (!limits_.has_max_steps() || !limits_.has_max_tool_calls() || !limits_.has_max_tokens() || !limits_.has_max_repeats() || !limits_.has_timeout())
    return "a limit is not set";
  side_effects_ = forked.allow_side_effects();
  phase_ = Phase::kQueued;
  is_child_ = false;
  grace_step_ = 0;
  not_before_ = absl::InfinitePast();
  deadline_ = forked.has_deadline() ? FromProto(forked.deadline()) : absl::InfiniteFuture();
  held_ = false;
  cancelling_ = false;
  model_gave_up_ = false;
  finish_reason_ = v1::FINISH_REASON_UNSPECIFIED;
  stop_ = v1::Stop();
  repeats_ = 0;
  if (!forked.input().empty()) last_calls_.clear();
  return "";
}

std::string JournalRules::Started(const v1::Event& event) {
  const bool first = event.run_started().cause() == v1::START_CAUSE_FIRST;
  const bool held = event.run_started().cause() == v1::START_CAUSE_RESTORED;
  if (phase_ == Phase::kQueued ? !first && !held : phase_ != Phase::kLive || first || event.epoch() <= started_epoch_) return "it is not to be started";
  if (phase_ == Phase::kQueued && cancelling_) return "it was cancelled";
  held_ |= held;
  if (phase_ == Phase::kQueued && !held && FromProto(event.time()) < not_before_) return "its time has not come";
  phase_ = Phase::kLive;
  started_epoch_ = event.epoch();
  if (model_open_) tokens_ += reserved_;
  if (model_open_ && reserved_cost_) cost_ = cost_.value_or(0) + *reserved_cost_;
  model_open_ = false;
  reserved_ = 0;
  reserved_cost_.reset();
  for (auto& [id, call] : calls_) {
    if (call.at == Call::At::kOpen) call.at = call.unsafe ? Call::At::kUncertain : Call::At::kReady;
  }
  return "";
}

std::string JournalRules::ModelCalled(const v1::Event& event) {
  const v1::ModelCalled& called = event.model_called();
  if (phase_ != Phase::kLive) return "the run is not running";
  if (cancelling_) return "the run was cancelled";
  if (model_open_) return "another attempt of the model is open";
  if (!AllSettled()) return "a call is not settled";
  if (answered_ && finish_reason_ != v1::FINISH_REASON_UNSPECIFIED) return "the model has answered";
  const bool summary = called.purpose() == v1::MODEL_PURPOSE_SUMMARIZE;
  if (model_gave_up_ && !(summary && refused_)) return "the model failed for good";
  if (summary && called.grace_step()) return "a grace step is no summary";
  if (event.step() != steps_ + 1) return absl::StrCat("step ", event.step(), " after ", steps_);
  if (called.attempt() != model_attempts_ + 1) return absl::StrCat("attempt ", called.attempt(), " after ", model_attempts_);
  if (called.grace_step() && grace_step_ > 0) return "a second grace step in one leg";
  if (steps_ >= limits_.max_steps() + (called.grace_step() ? 1 : 0)) return "over max_steps";
  if (tool_calls_ > limits_.max_tool_calls() && !called.grace_step()) return "over max_tool_calls";
  if (repeats_ >= limits_.max_repeats() && !called.grace_step()) return "over max_repeats";
  if (tokens_ + called.reserved_tokens() > limits_.max_tokens()) return "over max_tokens";
  if (limits_.has_max_cost_micros() && !called.has_reserved_cost_micros()) return "a budget of money, and nothing reserved";
  if (limits_.has_max_cost_micros() && cost_.value_or(0) + called.reserved_cost_micros() > limits_.max_cost_micros()) return "over max_cost_micros";
  model_open_ = true;
  model_attempts_ = called.attempt();
  model_sequence_ = event.sequence();
  model_ = called.model();
  grace_open_ = called.grace_step();
  summarizing_ = summary;
  model_gave_up_ = false;
  reserved_ = called.reserved_tokens();
  reserved_cost_.reset();
  if (called.has_reserved_cost_micros()) reserved_cost_ = called.reserved_cost_micros();
  return "";
}

// Of an attempt that is over.
std::string JournalRules::Book(const v1::Usage& usage) {
  tokens_ += usage.input_tokens() + usage.output_tokens();
  if (usage.has_cost_micros() != reserved_cost_.has_value()) return "what is reserved and what is booked do not fit: one of them has a cost";
  if (usage.has_cost_micros()) cost_ = cost_.value_or(0) + usage.cost_micros();
  reserved_ = 0;
  reserved_cost_.reset();
  return usage.cost_micros() < 0 ? "a cost below nothing" : "";
}

std::string JournalRules::ModelFailed(const v1::ModelFailed& failed) {
  if (!model_open_ || failed.attempt() != model_attempts_) return "no such attempt of the model is open";
  if (failed.error().reason().empty()) return "the error has no reason";
  if (!failed.has_usage()) return "nothing is booked";
  model_open_ = false;
  model_gave_up_ = !failed.has_retry_time();
  refused_ = failed.error().reason() == "CONTEXT_TOO_LARGE";
  return Book(failed.usage());
}

std::string JournalRules::Decided(const v1::Event& event) {
  const v1::Decision& decision = event.decision_made().decision();
  if (!model_open_) return "no attempt of the model is open";
  if (summarizing_) return "a summary is no decision";
  if (event.step() != steps_ + 1) return absl::StrCat("step ", event.step(), " after ", steps_);
  if (decision.tool_calls_size() > 64) return "too many calls";
  if ((decision.finish_reason() == v1::FINISH_REASON_TOOL_CALLS) != (decision.tool_calls_size() > 0)) return "calls and finish reason do not fit";
  if (std::exchange(told_, false)) last_calls_.clear();
  model_open_ = false;
  model_attempts_ = 0;
  if (std::string broken = Book(decision.usage()); !broken.empty()) return broken;
  ++steps_;
  if (grace_open_) grace_step_ = steps_;
  finish_reason_ = decision.finish_reason();
  answered_ = decision.tool_calls_size() == 0;
  calls_.clear();
  for (const v1::ToolCall& asked : decision.tool_calls()) {
    Call& call = calls_[asked.call_id()];
    if (!call.tool.empty()) return "two calls of one id";
    call.tool = asked.tool();
    call.arguments = asked.arguments();
    call.ordinal = ++tool_calls_;
    if (asked.call_id() != CallId{steps_, static_cast<int32_t>(calls_.size())}.ToString()) return "a call's id is wrong";
  }
  if (calls_.empty()) step_ends_.insert(last_);
  return "";
}

// What open calls of the last step hold.
int64_t JournalRules::GrantedTokens() const {
  int64_t tokens = 0;
  for (const auto& [id, call] : calls_) {
    if (call.child && call.at != Call::At::kSettled) tokens += call.child->grant().max_tokens();
  }
  return tokens;
}

int64_t JournalRules::GrantedCost() const {
  int64_t cost = 0;
  for (const auto& [id, call] : calls_) {
    if (call.child && call.at != Call::At::kSettled) cost += call.child->grant().max_cost_micros();
  }
  return cost;
}

bool JournalRules::AwaitsChildren() const {
  bool awaits = false;
  if (phase_ != Phase::kLive || cancelling_ || model_open_) return false;
  for (const auto& [id, call] : calls_) {
    if (call.at == Call::At::kSettled || call.at == Call::At::kWaiting) continue;
    if (call.at != Call::At::kOpen || !call.child) return false;
    awaits = true;
  }
  return awaits;
}

// The time of its first call_started in milliseconds, then bits of the key: said again without the product's words.
std::string JournalRules::Child(Call& call, const v1::Event& event) {
  const v1::CallStarted& started = event.call_started();
  if (call.attempts > 0 && started.has_child() != call.child.has_value()) return "one attempt has a child and another has not";
  if (!started.has_child()) return "";
  if (call.child) {
    return call.child->SerializeAsString() == started.child().SerializeAsString() ? "" : "another child, or another grant, than in the first attempt";
  }
  call.child = started.child();
  const auto run = ParseRunName(started.child().run());
  if (!run) return "the child has no name";
  if (absl::ToUnixMillis(run->time()) != absl::ToUnixMillis(FromProto(event.time()))) return "the child's id is not of the time of its call";
  std::string hex;
  for (const char byte : run->bytes()) absl::StrAppend(&hex, absl::Hex(static_cast<uint8_t>(byte), absl::kZeroPad2));
  if (hex.substr(13, 3) != started.idempotency_key().substr(13, 3) || hex.substr(17) != started.idempotency_key().substr(17)) {
    return "the child's id is not of its call's key";
  }
  // The call is not open yet: its grant is counted here.
  if (call.child->grant().max_tokens() < 1) return "nothing is granted";
  if (tokens_ + GrantedTokens() > limits_.max_tokens()) return "what is granted is over max_tokens";
  if (limits_.has_max_cost_micros() != call.child->grant().has_max_cost_micros()) return "a budget of money and a grant do not fit";
  if (limits_.has_max_cost_micros() && cost_.value_or(0) + GrantedCost() > limits_.max_cost_micros()) return "what is granted is over max_cost_micros";
  return "";
}

std::string JournalRules::CallStarted(const v1::Event& event) {
  const v1::CallStarted& started = event.call_started();
  const auto at = calls_.find(started.call_id());
  if (phase_ != Phase::kLive) return "the run is not running";
  if (cancelling_) return "the run was cancelled";
  if (at == calls_.end()) return "no such call";
  Call& call = at->second;
  if (grace_step_ == steps_) return "a call of a grace step is started";
  if (!side_effects_ && started.side_effect() != v1::SIDE_EFFECT_READ_ONLY) return "a fork calls a tool that changes something, without leave";
  if (call.at != Call::At::kReady) return "the call is not ready";
  if (needs_word(call.tool) && !call.allowed) return "a call is started that nobody allowed";
  if (call.tool == kAskPerson) return "a question is put to its tool";
  if (started.arguments() != (call.given ? call.arguments : "")) return "not the arguments that it was allowed with";
  if (started.attempt() != call.attempts + 1) return absl::StrCat("attempt ", started.attempt(), " after ", call.attempts);
  if (call.ordinal > limits_.max_tool_calls() && call.attempts == 0) return "over max_tool_calls";
  if (IsUnsafe(started.side_effect()) && call.attempts > 0 && !call.may_repeat) return "an UNSAFE call is repeated although it may have taken effect";
  if (started.idempotency_key().size() != 32 || (call.attempts > 0 && started.idempotency_key() != call.key)) return "not the call's key";
  if (started.rule() != (needs_word(call.tool) ? "approve_tools" : "")) return "not the rule by which somebody was asked";
  if (std::string broken = Child(call, event); !broken.empty()) return broken;
  call.at = Call::At::kOpen;
  call.attempts = started.attempt();
  call.unsafe = IsUnsafe(started.side_effect());
  call.may_repeat = false;
  call.key = started.idempotency_key();
  return "";
}

std::string JournalRules::CallFailed(const v1::CallFailed& failed) {
  const auto at = calls_.find(failed.call_id());
  if (at == calls_.end() || at->second.at != Call::At::kOpen || at->second.attempts != failed.attempt()) return "no such attempt is open";
  Call& call = at->second;
  if (!failed.definite() && call.unsafe && failed.has_retry_time()) return "an UNSAFE call that may have taken effect is to be tried again";
  call.may_repeat = failed.definite();
  call.at = !failed.definite() && call.unsafe ? Call::At::kUncertain : Call::At::kReady;
  return "";
}

std::string JournalRules::Waits(const v1::CallWaiting& waiting, const Call& call) const {
  if (waiting.kind() == v1::WAIT_KIND_UNCERTAIN) return call.at == Call::At::kUncertain ? "" : "no such call is uncertain";
  if (call.at != Call::At::kReady || call.attempts > 0 || call.allowed) return "nobody's word comes before it now";
  if (cancelling_) return "the run was cancelled";
  if (call.ordinal > limits_.max_tool_calls()) return "over max_tool_calls";
  if (grace_step_ == steps_) return "a call of a grace step";
  if (waiting.kind() == v1::WAIT_KIND_QUESTION) return call.tool == kAskPerson ? "" : "its tool asks nobody";
  if (waiting.kind() != v1::WAIT_KIND_APPROVAL) return "it does not say what for";
  if (!needs_word(call.tool)) return "its tool needs nobody's word";
  if (!side_effects_ && !absl::EndsWith(call.tool, "read") && call.tool != "read_artifact") return "a fork asks about a call that it may not make";
  return waiting.rule() == "approve_tools" && waiting.arguments_hash().size() == 32 ? "" : "it does not say what is allowed";
}

std::string JournalRules::CallWaiting(const v1::CallWaiting& waiting) {
  const auto at = calls_.find(waiting.call_id());
  if (at == calls_.end()) return "no such call";
  if (std::string broken = Waits(waiting, at->second); !broken.empty()) return broken;
  if (phase_ != Phase::kLive) return "the run is not running";
  if (!waiting.has_expire_time() || waiting.default_answer().kind_case() == v1::CallAnswer::KIND_NOT_SET) return "it may wait for ever";
  if (waiting.default_answer().has_allow() || waiting.default_answer().has_run_again()) return "nobody says yes";
  at->second.at = Call::At::kWaiting;
  at->second.waits_for = waiting.kind();
  return "";
}

std::string JournalRules::CallResolved(const v1::CallResolved& resolved) {
  const auto at = calls_.find(resolved.call_id());
  if (at == calls_.end() || at->second.at != Call::At::kWaiting) return "no such call waits";
  Call& call = at->second;
  const v1::CallAnswer& answer = resolved.answer();
  const bool approval = call.waits_for == v1::WAIT_KIND_APPROVAL;
  switch (answer.kind_case()) {
    case v1::CallAnswer::KIND_NOT_SET: return "there is no answer";
    case v1::CallAnswer::kResult: break;
    case v1::CallAnswer::kRunAgain:
      if (call.waits_for != v1::WAIT_KIND_UNCERTAIN) return "it was never run";
      call.asked_again.insert(call.attempts);
      break;
    case v1::CallAnswer::kGiveUp:
      if (approval) return "it is allowed, or it is not";
      break;
    case v1::CallAnswer::kAllow:
    case v1::CallAnswer::kDeny:
      if (!approval) return "nobody asked for leave";
      break;
  }
  if (answer.has_allow()) call.allowed = true;
  if (!answer.allow().arguments().empty() && answer.allow().arguments() != call.arguments) {
    call.arguments = answer.allow().arguments();
    call.given = true;
  }
  const bool starts = answer.has_run_again() || answer.has_allow();
  call.may_repeat = starts;
  call.answer = answer.kind_case();
  call.at = starts ? Call::At::kReady : Call::At::kAnswered;
  return "";
}

// What may become of a call where it is now.
std::string JournalRules::Settles(v1::CallOutcome outcome, const Call& call) const {
  if (outcome == v1::CALL_OUTCOME_UNSPECIFIED) return "there is no outcome";
  if (outcome == v1::CALL_OUTCOME_OK && call.at != Call::At::kOpen && call.at != Call::At::kAnswered) return "a result of no attempt";
  if (outcome == v1::CALL_OUTCOME_NOT_RUN && call.attempts > 0) return "it was run";
  if (outcome != v1::CALL_OUTCOME_NOT_RUN && call.ordinal > limits_.max_tool_calls() && call.attempts > 0) return "it was over max_tool_calls";
  if (outcome == v1::CALL_OUTCOME_UNCERTAIN && (!call.unsafe || call.attempts == 0)) return "a call that is repeatable or was never started is not uncertain";
  if (call.at == Call::At::kAnswered) {
    if ((outcome == v1::CALL_OUTCOME_OK) != (call.answer == v1::CallAnswer::kResult)) return "a result that nobody gave, or that is lost";
    if ((outcome == v1::CALL_OUTCOME_DENIED) != (call.answer == v1::CallAnswer::kDeny)) return "a denial that nobody spoke, or that is lost";
  } else if (outcome == v1::CALL_OUTCOME_DENIED && side_effects_) {
    return "nobody denied it";
  }
  const bool waits_for_word = call.at == Call::At::kWaiting && call.attempts == 0;
  if (waits_for_word && outcome != v1::CALL_OUTCOME_NOT_RUN) return "a call that nobody allowed is settled as something else than not run";
  if (!waits_for_word && (call.at == Call::At::kUncertain || call.at == Call::At::kWaiting) && outcome != v1::CALL_OUTCOME_UNCERTAIN)
    return "an uncertain call is settled as something else";
  return "";
}

std::string JournalRules::CallFinished(const v1::CallFinished& finished) {
  const auto at = calls_.find(finished.call_id());
  if (at == calls_.end() || at->second.at == Call::At::kSettled) return "no such call is to be settled";
  Call& call = at->second;
  if (std::string broken = Settles(finished.outcome(), call); !broken.empty()) return broken;
  if (finished.has_usage() != call.child.has_value()) return "what a child used is booked, and nothing else";
  tokens_ += finished.usage().input_tokens() + finished.usage().output_tokens();
  if (finished.usage().has_cost_micros()) cost_ = cost_.value_or(0) + finished.usage().cost_micros();
  call.at = Call::At::kSettled;
  call.end = v1::CallOutcome_Name(finished.outcome());
  for (const v1::Part& part : finished.result()) absl::StrAppend(&call.end, " ", part.ShortDebugString());
  if (AllSettled()) {
    step_ends_.insert(last_);
    CountRepeats();
  }
  return "";
}

std::string JournalRules::Compacted(const v1::ContextCompacted& compacted) {
  if (phase_ != Phase::kLive) return "the run is not running";
  if (!AllSettled()) return "a call is not settled";
  if (!step_ends_.contains(compacted.up_to_sequence())) return "no step ends there";
  if (compacted.up_to_sequence() == *step_ends_.rbegin()) return "the last step is not old";
  model_gave_up_ = false;
  if (compacted.strategy() == v1::COMPACTION_STRATEGY_CLEAR_RESULTS) {
    if (model_open_) return "an attempt of the model is open";
    if (cancelling_) return "the run was cancelled";
    if (compacted.has_usage() || !compacted.summary().empty()) return "nobody was asked";
    if (compacted.up_to_sequence() <= cleared_) return "nothing becomes shorter";
    cleared_ = compacted.up_to_sequence();
    return "";
  }
  if (compacted.strategy() != v1::COMPACTION_STRATEGY_SUMMARIZE) return "there is no such way";
  if (!model_open_ || !summarizing_) return "no summary is being made";
  if (compacted.summary().empty() || !compacted.has_usage()) return "there is no summary";
  if (compacted.up_to_sequence() <= summarized_) return "nothing becomes shorter";
  summarized_ = compacted.up_to_sequence();
  model_open_ = false;
  return Book(compacted.usage());
}

std::string JournalRules::InputReceived() {
  if (phase_ != Phase::kQueued && phase_ != Phase::kLive) return "nobody reads it";
  if (cancelling_) return "the run was cancelled";
  if (answered_ && finish_reason_ == v1::FINISH_REASON_ANSWER) return "the answer is final";
  if (!model_open_ || !grace_open_) repeats_ = 0;  // a grace step under way stays the last one
  told_ = true;
  return "";
}

std::string JournalRules::CancelRequested() {
  if (phase_ != Phase::kQueued && phase_ != Phase::kLive) return "there is nothing to cancel";
  if (cancelling_) return "it was cancelled already";
  cancelling_ = true;
  return "";
}

// Of a run whose last decision is no whole answer. Empty: it is none of these, or a grace step's, whose limit is what ends the run.
absl::string_view JournalRules::ErrorOfDecision() const {
  if (!answered_ || grace_step_ == steps_) return "";
  if (finish_reason_ == v1::FINISH_REASON_LENGTH) return "MODEL_OUTPUT_TRUNCATED";
  return finish_reason_ == v1::FINISH_REASON_FILTERED ? "MODEL_FILTERED" : "";
}

std::string JournalRules::Stopped(const v1::Event& event) {
  const v1::Stop& stop = event.run_stopped().stop();
  if (model_open_) return "an attempt of the model is open";
  if (!AllSettled()) return "a call is not settled";
  if (stop.reason() == v1::STOP_REASON_UNSPECIFIED || stop.detail().empty()) return "it does not say why";
  if (cancelling_ != (stop.reason() == v1::STOP_REASON_CANCELLED)) return "cancelled and stopped do not fit";
  const bool by_deadline = stop.limit().limit() == "deadline";
  if (by_deadline && FromProto(event.time()) < deadline_) return "its deadline has not come";
  if (is_child_ && stop.resumable()) return "a child's stop is its parent's result";
  if (phase_ == Phase::kQueued && !cancelling_ && !by_deadline) return "it never ran";
  if (stop.reason() == v1::STOP_REASON_FINAL_ANSWER && (!answered_ || finish_reason_ != v1::FINISH_REASON_ANSWER)) return "there is no answer";
  if (stop.reason() == v1::STOP_REASON_FINAL_ANSWER && grace_step_ == steps_) return "the answer of a grace step is not final";
  if ((stop.reason() == v1::STOP_REASON_ERROR) == stop.error().reason().empty()) return "error and reason do not fit";
  // What was decided comes before all but what forbids to go on in any case.
  const absl::string_view error = cancelling_ || held_ || stop.error().reason() == "RECOVERY_LIMIT" ? "" : ErrorOfDecision();
  if (!error.empty() && stop.error().reason() != error) return absl::StrCat("its answer is not whole, and the stop is not ", error);
  if (error.empty() && (stop.error().reason() == "MODEL_OUTPUT_TRUNCATED" || stop.error().reason() == "MODEL_FILTERED")) return "nothing was cut or withheld";
  const bool restored = stop.reason() == v1::STOP_REASON_ERROR && stop.error().reason() == "RESTORED";
  if (restored != (held_ && !cancelling_)) return "held and stopped do not fit";
  if (restored && stop.resumable() == is_child_) return "what is held can be resumed, unless it answers a call";
  const bool by_limit = stop.reason() == v1::STOP_REASON_MAX_STEPS || stop.reason() == v1::STOP_REASON_MAX_TOOL_CALLS ||
                        stop.reason() == v1::STOP_REASON_TIMEOUT || stop.reason() == v1::STOP_REASON_TOKEN_BUDGET ||
                        stop.reason() == v1::STOP_REASON_COST_BUDGET || stop.reason() == v1::STOP_REASON_LOOP_DETECTED;
  if (by_limit != stop.has_limit()) return "limit and reason do not fit";
  if (stop.reason() == v1::STOP_REASON_MAX_STEPS && steps_ < limits_.max_steps()) return "max_steps is not reached";
  if (stop.reason() == v1::STOP_REASON_LOOP_DETECTED && (repeats_ < limits_.max_repeats() || stop.limit().count() != repeats_)) return "it is no loop";
  if (stop.reason() == v1::STOP_REASON_TIMEOUT && !by_deadline && absl::Microseconds(active_us_) < FromProto(limits_.timeout()))
    return "the timeout is not reached";
  phase_ = Phase::kStopped;
  held_ = false;
  cancelling_ = false;
  stop_ = stop;
  return "";
}

std::string JournalRules::Resumed(const v1::RunResumed& resumed) {
  if (phase_ != Phase::kStopped || !stop_.resumable()) return "it cannot be resumed";
  phase_ = Phase::kQueued;
  const v1::Limits& raised = resumed.limits();
  if (raised.has_max_steps()) limits_.set_max_steps(raised.max_steps());
  if (raised.has_max_tool_calls()) limits_.set_max_tool_calls(raised.max_tool_calls());
  if (raised.has_max_tokens()) limits_.set_max_tokens(raised.max_tokens());
  if (raised.has_max_cost_micros()) limits_.set_max_cost_micros(raised.max_cost_micros());
  if (raised.has_max_repeats()) limits_.set_max_repeats(raised.max_repeats());
  if (raised.has_timeout()) *limits_.mutable_timeout() = raised.timeout();
  if (resumed.has_deadline()) deadline_ = FromProto(resumed.deadline());
  if (stop_.limit().limit() == "deadline" && absl::ToUnixMillis(deadline_) <= stop_.limit().count()) return "the deadline is not raised";
  if (stop_.reason() == v1::STOP_REASON_MAX_STEPS && limits_.max_steps() <= stop_.limit().count()) return "max_steps is not raised";
  if (stop_.reason() == v1::STOP_REASON_MAX_TOOL_CALLS && limits_.max_tool_calls() <= stop_.limit().count()) return "max_tool_calls is not raised";
  if (stop_.reason() == v1::STOP_REASON_TOKEN_BUDGET && limits_.max_tokens() <= stop_.limit().count()) return "max_tokens is not raised";
  if (stop_.reason() == v1::STOP_REASON_COST_BUDGET && limits_.max_cost_micros() <= stop_.limit().count()) return "max_cost_micros is not raised";
  if (stop_.reason() == v1::STOP_REASON_LOOP_DETECTED && limits_.max_repeats() <= stop_.limit().count() && resumed.input().empty()) {
    return "max_repeats is not raised, and there is no input";
  }
  if (!resumed.input().empty()) {
    repeats_ = 0;
    last_calls_.clear();
  }
  model_gave_up_ = false;
  grace_step_ = 0;
  finish_reason_ = v1::FINISH_REASON_UNSPECIFIED;
  return "";
}

}  // namespace agentruntime::simulation
