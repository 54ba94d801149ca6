#include "tests/simulation/judge.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/serialize.h"
#include "runtime/context.h"
#include "runtime/view.h"

namespace agentruntime::simulation {
namespace {

// Every field of a projection.
std::string BytesOf(const RunProjection& projection) {
  std::string text = absl::StrCat(projection.state, " ", projection.last_sequence, " ", projection.answer_sequence, " ", projection.last_step, " ",
                                  projection.barren_starts, " ", projection.priority, " ", absl::ToUnixMicros(projection.update_time));
  for (const auto& time : {projection.start_time, projection.stop_time, projection.wake_time, projection.not_before, projection.deadline}) {
    absl::StrAppend(&text, " ", time ? absl::ToUnixMicros(*time) : 0);
  }
  if (projection.stop) absl::StrAppend(&text, " stop ", SerializeDeterministically(*projection.stop));
  absl::StrAppend(&text, " usage ", SerializeDeterministically(projection.usage), " limits ", SerializeDeterministically(projection.limits));
  if (projection.activity) absl::StrAppend(&text, " activity ", SerializeDeterministically(*projection.activity));
  for (const v1::WaitingCall& call : projection.waiting_calls) absl::StrAppend(&text, " waiting ", SerializeDeterministically(call));
  return text;
}

struct Count {
  const char* name;
  int64_t Counts::* value;
};
constexpr Count kCounts[] = {
    {"commits", &Counts::commits},
    {"events", &Counts::events},
    {"runs", &Counts::runs},
    {"forks", &Counts::forks},
    {"children", &Counts::children},
    {"child results", &Counts::child_results},
    {"stops", &Counts::stops},
    {"calls of tools", &Counts::executions},
    {"model requests", &Counts::model_requests},
    {"events seen", &Counts::seen_events},
    {"acknowledged", &Counts::acknowledged},
    {"ends of a process", &Counts::crashes},
    {"handlers", &Counts::handlers},
    {"artifacts", &Counts::artifacts},
    {"artifacts read", &Counts::artifacts_read},
    {"allowed", &Counts::allowed},
    {"denied", &Counts::denied},
    {"questions", &Counts::questions},
    {"loops", &Counts::loops},
    {"held", &Counts::held},
    {"inputs", &Counts::inputs},
    {"cancels", &Counts::cancels},
    {"resumes", &Counts::resumes},
    {"deltas", &Counts::deltas},
    {"lines of the log", &Counts::lines},
    {"watches left", &Counts::left},
    {"full commits", &Counts::full_commits},
    {"failed commits", &Counts::failed_commits},
    {"unheard commits", &Counts::unheard_commits},
    {"clock jumps", &Counts::clock_jumps},
    {"model failures", &Counts::model_failures},
    {"paid failures", &Counts::paid_failures},
    {"call failures", &Counts::call_failures},
    {"hidden effects", &Counts::hidden_effects},
    {"nonsense", &Counts::nonsense},
};

}  // namespace

void Counts::Add(const Counts& more) {
  for (const Count& count : kCounts) this->*count.value += more.*count.value;
}

std::string Counts::Text() const {
  return absl::StrJoin(kCounts, ", ", [this](std::string* text, const Count& count) { absl::StrAppend(text, this->*count.value, " ", count.name); });
}

void Judge::ProcessStarted(int number, Epochs epochs) {
  process_ = number;
  epochs_ = epochs;
  pending_.clear();
  cancels_.clear();
}

const Known* Judge::Find(const RunId& run) const {
  const auto at = runs_.find(run);
  return at == runs_.end() ? nullptr : &at->second;
}

RunState Judge::FoldTo(const Known& known, Sequence sequence) const {
  if (sequence == known.fold.last_sequence) return known.fold;
  RunState state;
  state.id = known.fold.id;
  const Sequence last = std::min(sequence, static_cast<Sequence>(known.events.size()));
  for (Sequence i = 0; i < last; ++i) Apply(state, ParseEvent(known.events[static_cast<size_t>(i)]));
  return state;
}

void Judge::CheckProjection(const RunId& run, const RunState& fold, const RunProjection& projection, absl::string_view when) {
  if (BytesOf(ProjectionOf(fold)) == BytesOf(projection)) return;
  world_.Fail("fold: ", when, " the projection of ", run.ToString(), " is not that of its journal, at ", fold.last_sequence);
}

Known Judge::Shared(const RunId& fork, const ForkPoint& point) {
  Known shared;
  const Known* const source = Find(point.run);
  if (source == nullptr || point.sequence > static_cast<Sequence>(source->events.size())) {
    world_.Fail("fork: ", fork.ToString(), " shares event ", point.sequence, " of ", point.run.ToString(), ", which is not durable");
    return shared;
  }
  shared.events.assign(source->events.begin(), source->events.begin() + static_cast<ptrdiff_t>(point.sequence));
  shared.fold.id = fork;
  for (const std::string& bytes : shared.events) {
    const EventPtr event = ParseEvent(bytes);
    shared.rules.Add(*event, world_.settings.agents, std::nullopt);
    Apply(shared.fold, event);
  }
  return shared;
}

std::optional<RunId> Judge::LastOf(const Known& known) const {
  if (known.fold.created == nullptr || known.fold.forked != nullptr) return std::nullopt;
  const auto at = conversations_.find(known.fold.created->run_created().conversation());
  if (at == conversations_.end()) return std::nullopt;
  for (auto run = at->second.rbegin(); run != at->second.rend(); ++run) {
    if (!Find(*run)->deleted) return *run;
  }
  return std::nullopt;
}

// None is missing that was accepted before, whenever it stopped. Texts are short here: only the number of runs bounds what is read. A run that is deleted
// takes a place among them, since nobody here knows whether it was there still when the conversation was read.
void Judge::CheckEarlierRuns(const RunId& run, const v1::RunCreated& created) {
  const auto& read = created.earlier_runs();
  const std::vector<RunId>& before = conversations_[created.conversation()];
  const size_t newest = std::min<size_t>(before.size(), kConversationRunsMax);
  for (auto earlier = before.end() - static_cast<ptrdiff_t>(newest); earlier != before.end(); ++earlier) {
    if (Find(*earlier)->deleted || std::find(read.begin(), read.end(), RunName(*earlier)) != read.end()) continue;
    world_.Fail("conversation: ", run.ToString(), " does not read ", RunName(*earlier), ", which came before it");
  }
}

// One run of a conversation is active, and it is the last one; what it reads of earlier ones had stopped.
void Judge::CheckConversation(const RunId& run, const v1::Event& event) {
  const Known& known = *Find(run);
  if (event.has_run_created() && !event.run_created().conversation().empty()) {
    const std::string& conversation = event.run_created().conversation();
    for (const std::string& name : event.run_created().earlier_runs()) {
      const auto earlier = ParseRunName(name);
      const Known* const of = earlier ? Find(*earlier) : nullptr;
      if (of == nullptr || of->fold.created->run_created().conversation() != conversation || of->rules.phase() != JournalRules::Phase::kStopped) {
        world_.Fail("conversation: ", run.ToString(), " reads ", name, ", which is no stopped run of it");
      }
    }
    CheckEarlierRuns(run, event.run_created());
    conversations_[conversation].push_back(run);
  }
  if (known.rules.phase() == JournalRules::Phase::kStopped || known.fold.forked != nullptr) return;
  if (const auto last = LastOf(known); last && *last != run) {
    world_.Fail("conversation: ", run.ToString(), " is active, and ", last->ToString(), " came later");
  }
  const auto at = conversations_.find(known.fold.created->run_created().conversation());
  if (at == conversations_.end()) return;
  for (const RunId& other : at->second) {
    if (other == run || Find(other)->deleted || Find(other)->rules.phase() == JournalRules::Phase::kStopped) continue;
    world_.Fail("conversation: ", run.ToString(), " and ", other.ToString(), " are active");
  }
}

void Judge::Queued(const NewRun& run) {
  Pending& pending = pending_[run.id];
  if (run.forked_from) pending.fold = Shared(run.id, *run.forked_from).fold;
  pending.fold.id = run.id;
  Apply(pending.fold, run.created);
  pending.bytes.push_back(SerializeDeterministically(*run.created));
  CheckProjection(run.id, pending.fold, run.projection, "queued,");
}

void Judge::Queued(const AppendRequest& request) {
  const auto [at, fresh] = pending_.try_emplace(request.run);
  Pending& pending = at->second;
  const Known* const known = Find(request.run);
  // One that was lost to its conversation is loaded anew when it is asked for again.
  const bool anew = pending.lost && known != nullptr && request.events.front()->has_run_resumed() && request.expected_last_sequence == known->rules.last();
  if (anew) pending = Pending();
  if (fresh || anew) {
    if (known == nullptr || known->deleted) {
      pending.lost = true;  // deleted while its session was about to write
    } else {
      pending.fold = known->fold;
    }
  }
  if (pending.lost) return;
  if (request.expected_last_sequence != pending.fold.last_sequence) {
    return world_.Fail("fold: ", request.run.ToString(), " appends after ", request.expected_last_sequence, ", its last event is ", pending.fold.last_sequence);
  }
  for (const EventPtr& event : request.events) {
    pending.bytes.push_back(SerializeDeterministically(*event));
    Apply(pending.fold, ParseEvent(pending.bytes.back()));
  }
  CheckProjection(request.run, pending.fold, request.projection, "queued,");
}

void Judge::Durable(const DiskRun& row, size_t new_events) {
  const RunId& run = row.record.id;
  if (row.record.forked_from && !runs_.contains(run)) runs_[run] = Shared(run, *row.record.forked_from);
  Known& known = runs_[run];
  known.fold.id = run;
  ++counts.commits;
  std::deque<std::string>& queued = pending_[run].bytes;
  for (size_t i = row.events.size() - new_events; i < row.events.size(); ++i) {
    const EventPtr event = ParseEvent(row.events[i]);
    const std::string bytes = SerializeDeterministically(*event);
    if (queued.empty() || queued.front() != bytes) {
      world_.Fail("an event of ", run.ToString(), " was changed after it was appended: ", event->ShortDebugString());
    } else {
      queued.pop_front();
    }
    world_.Trace("durable ", run.ToString(), " ", event->sequence(), " ", static_cast<int>(event->kind_case()), " step ", event->step(), " epoch ",
                 event->epoch(), " ", bytes.size());
    CheckBooked(known, *event);
    CheckArtifacts(row, known, *event);
    CheckChildren(known, *event);
    if (const std::string broken = known.rules.Add(*event, world_.settings.agents, epochs_.restored); !broken.empty()) {
      world_.Fail("journal: ", run.ToString(), " event ", event->sequence(), ": ", broken);
    }
    Apply(known.fold, event);
    known.events.push_back(bytes);
    ++counts.events;
    counts.runs += event->has_run_created() || event->has_run_forked() ? 1 : 0;
    counts.forks += event->has_run_forked() ? 1 : 0;
    counts.loops += event->run_stopped().stop().reason() == v1::STOP_REASON_LOOP_DETECTED ? 1 : 0;
    counts.allowed += event->call_resolved().answer().has_allow() ? 1 : 0;
    counts.inputs += event->has_input_received() ? 1 : 0;
    counts.cancels += event->has_cancel_requested() ? 1 : 0;
    counts.resumes += event->has_run_resumed() ? 1 : 0;
    counts.model_failures += event->has_model_failed() ? 1 : 0;
    counts.call_failures += event->has_call_failed() ? 1 : 0;
    counts.denied += event->call_resolved().answer().has_deny() ? 1 : 0;
    counts.questions += event->call_waiting().kind() == v1::WAIT_KIND_QUESTION ? 1 : 0;
    CheckConversation(run, *event);
    counts.stops += event->has_run_stopped() ? 1 : 0;
    counts.held += event->has_run_started() && event->run_started().cause() == v1::START_CAUSE_RESTORED ? 1 : 0;
    CheckCancel(run, *event);
  }
  CheckProjection(run, known.fold, row.record.projection, "durable,");
  CheckColumns(known, row.record.projection);
}

// Without the product's fold: what lists and queries see must not be wrong in the way the fold is.
void Judge::CheckColumns(const Known& known, const RunProjection& projection) {
  const JournalRules& rules = known.rules;
  const auto wrong = [&](absl::string_view what) { world_.Fail("columns: ", what, " of ", known.fold.id.ToString(), " is wrong after ", rules.last()); };
  const bool stopped = rules.phase() == JournalRules::Phase::kStopped;
  if ((projection.state == v1::RUN_STATE_STOPPED) != stopped) wrong("the state");
  if ((projection.state == v1::RUN_STATE_QUEUED) != (rules.phase() == JournalRules::Phase::kQueued)) wrong("the state");
  if (stopped && (!projection.stop || SerializeDeterministically(*projection.stop) != SerializeDeterministically(rules.stop()))) wrong("the stop");
  if (projection.last_sequence != rules.last()) wrong("the last sequence");
  if (projection.last_step != rules.steps() || projection.usage.steps() != rules.steps()) wrong("the number of steps");
  if (projection.usage.tool_calls() != rules.tool_calls()) wrong("the number of tool calls");
  if (projection.usage.input_tokens() + projection.usage.output_tokens() != rules.tokens()) wrong("the number of tokens");
  if (projection.usage.has_cost_micros() != rules.cost().has_value() || projection.usage.cost_micros() != rules.cost().value_or(0)) wrong("the cost");
}

// An attempt without reported usage is booked at its reservation. One whose report came too late may be, too.
void Judge::CheckBooked(const Known& known, const v1::Event& event) {
  const bool summary = event.has_context_compacted() && event.context_compacted().has_usage();
  if (!event.has_model_failed() && !event.has_decision_made() && !summary) return;
  const auto at = reported_.find(Attempt(known.fold.id, event.step(), known.rules.model_attempts()));
  if (at == reported_.end()) return;
  const v1::Usage& usage = summary                    ? event.context_compacted().usage()
                           : event.has_model_failed() ? event.model_failed().usage()
                                                      : event.decision_made().decision().usage();
  const int64_t booked = usage.input_tokens() + usage.output_tokens();
  if (booked != known.rules.reserved() && booked != at->second) {
    world_.Fail("limits: ", booked, " tokens are booked for step ", event.step(), " of ", known.fold.id.ToString(), ", reserved were ", known.rules.reserved());
  }
  if (!usage.has_cost_micros() || booked == known.rules.reserved()) return;
  const v1::ModelPrice& price = world_.settings.prices.at(known.rules.model());
  // The simulated models have nothing cached. As doubles, so that it is not the product's own sum.
  const double cost = (static_cast<double>(usage.input_tokens()) * static_cast<double>(price.input_micros()) +
                       static_cast<double>(usage.output_tokens()) * static_cast<double>(price.output_micros())) /
                      1e6;
  if (std::abs(static_cast<double>(usage.cost_micros()) - cost) > 1 + cost * 1e-9) {
    world_.Fail("limits: ", usage.cost_micros(), " is booked for step ", event.step(), " of ", known.fold.id.ToString(), ", it cost ", cost);
  }
}

void Judge::Lost(const AppendRequest& request) {
  const Known* const known = Find(request.run);
  world_.Trace("lost ", request.run.ToString());
  const auto last = known == nullptr ? std::nullopt : LastOf(*known);
  const bool went_on = last && *last != request.run && known->rules.phase() == JournalRules::Phase::kStopped;
  const bool refused = known == nullptr && pending_[request.run].refused;  // its session ran ahead of its creation
  if (!refused && (known == nullptr || (!known->deleted && !went_on)))
    world_.Fail("an append of ", request.run.ToString(), " was lost though nobody else owns the run");
  pending_[request.run].lost = true;
  pending_[request.run].bytes.clear();
}

void Judge::Refused(const NewRun& run) {
  if (Find(run.id) != nullptr) return;  // it was made before
  world_.Trace("refused ", run.id.ToString());
  Pending& pending = pending_[run.id];
  pending.refused = pending.lost = true;
  pending.bytes.clear();
}

void Judge::Deleted(const RunId& run) {
  world_.Trace("deleted ", run.ToString());
  runs_[run].deleted = true;
  for (const auto& [id, known] : runs_) {
    if (known.deleted || known.fold.forked == nullptr || known.fold.forked->run_forked().source().run() != RunName(run)) continue;
    world_.Fail("fork: ", run.ToString(), " was deleted, and ", id.ToString(), " shares its journal");
  }
}

// A decision with its calls, then exactly their results, in order.
void Judge::CheckMessages(const ModelRequest& request) {
  int steps = 0;
  const auto& messages = request.messages;
  for (size_t i = request.earlier; i < messages.size(); ++i) {
    if (std::holds_alternative<ToolMessage>(messages[i])) return world_.Fail("history: a result without its decision, ", request.run.ToString());
    const auto* const said = std::get_if<AssistantMessage>(&messages[i]);
    if (said == nullptr) continue;
    ++steps;
    for (int call = 0; call < said->decision->tool_calls_size(); ++call) {
      const auto* const result = ++i < messages.size() ? std::get_if<ToolMessage>(&messages[i]) : nullptr;
      if (result == nullptr || result->call_index != call || result->finished->call_id() != said->decision->tool_calls(call).call_id()) {
        return world_.Fail("history: call ", said->decision->tool_calls(call).call_id(), " of ", request.run.ToString(), " has no result");
      }
    }
  }
  const auto is_summary = [](const ModelMessage& message) {
    const auto* const said = std::get_if<UserMessage>(&message);
    return said != nullptr && absl::StartsWith(said->parts->at(0).text(), kSummaryHead);
  };
  const bool summarized = std::any_of(messages.begin(), messages.end(), is_summary);
  const bool fits = summarized || request.purpose == v1::MODEL_PURPOSE_SUMMARIZE ? steps < request.step - 1 : steps == request.step - 1;
  if (!fits) world_.Fail("history: ", steps, " steps before step ", request.step, " of ", request.run.ToString());
}

void Judge::ModelAsked(const ModelRequest& request, bool local) {
  ++counts.model_requests;
  world_.Trace("model ", local ? "near " : "far ", request.run.ToString(), " step ", request.step, " attempt ", request.attempt);
  CheckMessages(request);
  const Known* const known = Find(request.run);
  const std::string what = absl::StrCat("step ", request.step, " attempt ", request.attempt, " of ", request.run.ToString());
  if (known != nullptr && known->rules.steps() >= request.step) return world_.Fail("again: the model is asked after its decision is durable, ", what);
  if (local) return;
  if (known == nullptr || !known->rules.model_open() || known->rules.model_attempts() != request.attempt || known->rules.steps() != request.step - 1) {
    return world_.Fail("gate: the model is asked before model_called is durable, ", what);
  }
  if (known->rules.cancelling()) return world_.Fail("cancel: the model is asked after cancel_requested is durable, ", what);
  if (!asked_.emplace(request.run, request.step, request.attempt).second) world_.Fail("again: one attempt reached the model twice, ", what);
}

void Judge::ModelSaid(const ModelRequest& request, const Boxed<v1::Usage>& usage) {
  constexpr int64_t kTokensMax = 1'000'000'000;
  std::optional<int64_t>& reported = reported_[Attempt(request.run, request.step, request.attempt)];
  if (usage) reported = std::clamp<int64_t>(usage->input_tokens(), 0, kTokensMax) + std::clamp<int64_t>(usage->output_tokens(), 0, kTokensMax);
}

void Judge::CallSent(const ToolRequest& request, const ToolSpec& spec) {
  ++counts.executions;
  const std::string what = absl::StrCat("call ", request.call.ToString(), " attempt ", request.attempt, " of ", request.run.ToString());
  world_.Trace("tool ", spec.name, " ", what, " ", request.idempotency_key);
  const Known* const known = Find(request.run);
  const JournalRules::Call* const call = known == nullptr ? nullptr : known->rules.FindCall(request.call.ToString());
  if (call != nullptr && known->rules.steps() == request.call.step && call->at == JournalRules::Call::At::kSettled) {
    return world_.Fail("again: a call is executed after its end is durable, ", what);
  }
  if (spec.asks_person) return world_.Fail("people: a question is put to its tool, ", what);
  // Local or not: what needs a person's word waits until it is durable.
  const bool allowed = call != nullptr && known->rules.steps() == request.call.step && call->allowed && call->arguments == request.arguments;
  if (known != nullptr && known->rules.needs_word(spec.name) && !allowed) return world_.Fail("people: a call is made before it is durably allowed, ", what);
  if (spec.local) return;
  if (call == nullptr || call->at != JournalRules::Call::At::kOpen || call->attempts != request.attempt) {
    return world_.Fail("gate: a call left before call_started is durable, ", what);
  }
  if (call->key != request.idempotency_key) return world_.Fail("ledger: another key than in call_started, ", what);
  // One that a child answers finds the child of the attempt before: what is cancelled is the child.
  const bool attaches = spec.child && request.attempt > 1;
  if (known->rules.cancelling() && !attaches) return world_.Fail("cancel: a call left after cancel_requested is durable, ", what);
  const bool asked_again = known->rules.asked_again(request.call.ToString(), request.attempt);
  std::map<int32_t, Said>& attempts = executions_[{request.run, request.call}];
  if (attempts.contains(request.attempt)) return world_.Fail("again: one attempt left twice, ", what);
  if (call->unsafe && !attempts.empty() && !asked_again && attempts.rbegin()->second != Said::kFailed) {
    return world_.Fail("ledger: an UNSAFE call is executed again though it may have taken effect, ", what);
  }
  attempts[request.attempt] = Said::kNothing;
}

void Judge::CallSaid(const ToolRequest& request, const ToolSpec& spec, Said said) {
  counts.hidden_effects += said == Said::kUnknown ? 1 : 0;
  if (!spec.local) executions_[{request.run, request.call}][request.attempt] = said;
}

}  // namespace agentruntime::simulation
