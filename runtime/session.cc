#include "runtime/session.h"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/ask.h"
#include "runtime/blocking_pool.h"
#include "runtime/context.h"
#include "runtime/decide.h"
#include "runtime/due.h"
#include "runtime/grant.h"
#include "runtime/view.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

// A session that is so far ahead of the disk waits for it.
constexpr int64_t kHeldEventsMax = 256;
// What is appended at once, at most by one more record.
constexpr size_t kRecordedEventsMax = 64;
// How long a tool may take to end after its timeout.
constexpr absl::Duration kAbortMax = absl::Seconds(2);

bool IsProgress(const v1::Event& event) {
  return event.has_decision_made() || event.has_call_finished() || event.has_model_failed() || event.has_call_failed() || event.has_call_waiting() ||
         event.has_call_resolved() || event.has_context_compacted() || event.has_run_stopped();
}

// The model is asked or a tool is called, or the run begins to do so.
bool IsWork(const v1::Event& fact) {
  return fact.has_model_called() || fact.has_call_started() || (fact.has_run_started() && fact.run_started().cause() == v1::START_CAUSE_FIRST);
}

}  // namespace

// What a model or tool says while it works, on its way through the gate. One that goes on in spite of its cancellation is not heard once its attempt was
// settled without it: it would speak of an attempt that nobody has open.
class Session::Deltas final : public DeltaSink, public ProgressSink {
 public:
  enum class Audience {
    kWatchers,
    kNobody,  // a summary is no answer
  };
  // `session` outlives it.
  Deltas(const Session& session, Audience audience, const Effect& effect, int32_t step)
      : session_(session), audience_(audience), effect_(effect), step_(step) {}

  void Text(absl::string_view text) override {
    v1::Delta delta = Next();
    delta.set_text(std::string(text));
    Tell(std::move(delta));
  }
  void Reasoning(absl::string_view text) override {
    v1::Delta delta = Next();
    delta.set_reasoning(std::string(text));
    Tell(std::move(delta));
  }
  void ToolCall(int32_t call_index, absl::string_view tool, absl::string_view arguments) override {
    v1::Delta delta = Next();
    v1::ToolCallDelta* const call = delta.mutable_tool_call();
    call->set_call_index(call_index);
    call->set_tool(std::string(tool));
    call->set_arguments(std::string(arguments));
    Tell(std::move(delta));
  }
  void Progress(absl::string_view message, std::optional<double> fraction) override {
    v1::Delta delta = Next();
    v1::ToolProgress* const progress = delta.mutable_tool_progress();
    progress->set_call_id(effect_.call.ToString());
    progress->set_message(std::string(CutUtf8(MakeValidUtf8(message), kProgressBytesMax)));
    if (fraction) progress->set_fraction(*fraction);
    Tell(std::move(delta));
  }

 private:
  v1::Delta Next() {
    v1::Delta delta;
    delta.set_step(step_);
    delta.set_attempt(effect_.attempt);
    delta.set_after_sequence(effect_.sequence);
    delta.set_index(index_++);
    return delta;
  }
  void Tell(v1::Delta delta) {
    if (audience_ == Audience::kNobody || !session_.IsHeard(effect_)) return;
    session_.gate_->AddDelta(std::move(delta));
  }

  const Session& session_;
  const Audience audience_;
  const Effect effect_;
  const int32_t step_;
  int32_t index_ = 0;
};

Session::Session(const Environment& environment, const RuntimeOptions& options, RunState state, std::shared_ptr<const RunPlan> plan,
                 std::shared_ptr<Publisher> publisher, std::shared_ptr<StagingRoom> room, SessionOwner& owner, Origin origin,
                 std::optional<absl::Duration> active_since, std::unique_ptr<Creation> creation)
    : environment_(environment),
      options_(options),
      strand_(Strand::On(environment.pool)),
      run_(state.id),
      plan_(std::move(plan)),
      owner_(owner),
      gate_(std::make_shared<Gate>(state.id, state.last_sequence - (creation != nullptr ? 1 : 0), state.is_stopped() || state.is_waiting(), strand_,
                                   std::move(publisher))),
      room_(std::move(room)),
      origin_(origin),
      state_(std::move(state)),
      creation_(std::move(creation)),
      artifacts_known_(state_.own_artifacts == 0),
      active_since_(active_since.value_or(environment.clock->Monotonic())),
      inbox_(*environment.timers, strand_) {}

void Session::Start() {
  gate_->OnLost([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->inbox_.Wake();
  });
  asio::post(strand_, [self = shared_from_this()] { self->Run(); });
}

void Session::Send(Command command) {
  asio::post(strand_, [self = shared_from_this(), command = std::move(command)]() mutable {
    self->inbox_.Push([self = self.get(), command = std::move(command)]() mutable { command(*self); });
  });
}

void Session::Park() {
  asio::post(strand_, [self = shared_from_this()] {
    self->parking_ = true;
    self->DropChildAttempts();  // a child parks as well: its parent would wait in vain
    self->inbox_.Wake();
  });
}

void Session::Abandon() {
  asio::post(strand_, [self = shared_from_this()] {
    self->parking_ = true;
    self->abandoned_ = true;
    self->gate_->CloseToAttempts();
    self->DropAttempts();
    self->inbox_.Wake();
  });
}

Instant Session::Now() const {
  Instant now{environment_.clock->Now(), state_.active};
  if (state_.is_active()) now.active += environment_.clock->Monotonic() - active_since_;
  return now;
}

bool Session::MustWaitForDisk() const {
  // A full disk is a slow disk: nobody runs ahead of it, not by one event, or many runs would fill what may wait for it. The owner nudges when it is over.
  if (!environment_.store->writable()) return true;
  if (ahead() == 0) return false;
  return ahead() > kHeldEventsMax || (origin_ == Origin::kLoaded && !progressed_);
}

void Session::Nudge() {
  asio::post(strand_, [self = shared_from_this()] { self->inbox_.Wake(); });
}

void Session::WakeWhenDurable() {
  if (std::exchange(waiting_for_disk_, true)) return;
  gate_->WhenDurable(state_.last_sequence, [weak = weak_from_this()](bool) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->waiting_for_disk_ = false;
    self->inbox_.Wake();
  });
}

void Session::WhenDurable(absl::AnyInvocable<void(bool)> then) {
  ++replies_;
  gate_->WhenDurable(state_.last_sequence, [weak = weak_from_this(), then = std::move(then)](bool durable) mutable {
    if (const auto self = weak.lock()) --self->replies_;
    then(durable);
  });
}

void Session::PushOutcome(Inbox::Item outcome) {
  outcomes_.push_back(std::move(outcome));
  inbox_.Wake();
}

// The order of effects is written here and nowhere else: commands, outcomes, facts, stop, effects, one at a time.
Session::Turn Session::TakeTurn(std::optional<absl::Duration>& wake) {
  // What callers ask comes before what is next, but not before the attempts of the server before are settled. Until then it stays, however long the disk takes.
  if (!inbox_.empty() && (parking_ || IsTakenUp())) {
    inbox_.TakeOne();
    return Turn::kAgain;
  }
  if (MustWaitForDisk()) {
    if (ahead() > 0) WakeWhenDurable();
  } else if (!outcomes_.empty()) {
    Inbox::Item outcome = std::move(outcomes_.front());
    outcomes_.pop_front();
    outcome();
    return Turn::kAgain;
  } else if (!parking_) {
    const Instant now = Now();
    Next next = WhatNext(state_, *plan_, StoreEpochs(), now);
    const bool lacks_place = LacksPlace(next.facts);
    if (!next.facts.empty() && !MustAskChildren(next.facts)) {
      Record(std::move(next.facts));
      if (state_.is_stopped()) DropAttempts();
      return Turn::kAgain;
    }
    if (attempts_.empty() && (lacks_place || IsToLeave(next))) {
      // Whoever loads the run next must find its stop, or what it waits for, in the store.
      if (ahead() > 0) {
        WakeWhenDurable();
      } else if (owner_.TryLeave(run_, lacks_place ? LeavingForPlace() : LeavingUntil(next.wake ? std::optional(now.wall + *next.wake) : std::nullopt, now))) {
        return Turn::kLeft;
      }
    }
    for (const Effect& effect : next.effects) StartOnce(effect);
    wake = next.waits_for_clock ? std::min(*next.wake, kClockLook) : next.wake;
  }
  if (!inbox_.is_called()) {
    TellAwaiting();
    Flush();
  }
  return Turn::kWait;
}

// No coroutine: its frame, what spawned it and each of its waits would be most of what a session takes that waits.
void Session::Run() {
  for (;;) {
    std::optional<absl::Duration> wake;
    const bool is_over = gate_->lost() || abandoned_ || (parking_ && attempts_.empty());  // and stays so: who is over starts nothing
    const Turn turn = is_over ? TakeLastTurn() : TakeTurn(wake);
    if (turn == Turn::kLeft) return owner_.OnEnded(run_);
    if (turn == Turn::kAgain || inbox_.TakeCall()) continue;
    return inbox_.Await(wake, [self = shared_from_this()] { self->Run(); });
  }
}

Session::Turn Session::TakeLastTurn() {
  if (!std::exchange(ending_, true)) {
    Flush();
    DropAttempts();
  }
  // Those that ignore it end later, with nobody to hear of them; a server that drains does not wait for them.
  if (!attempts_.empty() && !abandoned_) {
    for (Inbox::Item& outcome : std::exchange(outcomes_, {})) outcome();
    TakeLast();
    return attempts_.empty() ? Turn::kAgain : Turn::kWait;
  }
  TakeLast();
  // Of one whose creation was refused there is nothing to wake.
  const bool refused = gate_->lost() && gate_->durable() < state_.accepted().sequence();
  const std::optional<absl::Time> wake = refused ? std::nullopt : ProjectionOf(state_).wake_time;
  return owner_.TryLeave(run_, LeavingUntil(wake, Now())) ? Turn::kLeft : Turn::kWait;
}

// No turn follows that would append what a command records, and its reply waits for that.
void Session::TakeLast() {
  while (!inbox_.empty()) inbox_.TakeOne();
  Flush();
}

bool Session::IsToLeave(const Next& next) const {
  if (!next.facts.empty() || !next.effects.empty()) return false;
  // QUEUED and nothing to record: its time has not come.
  if (state_.is_stopped() || state_.is_waiting() || state_.phase == v1::RUN_STATE_QUEUED) return true;
  return next.wake && *next.wake > options_.stay_max;
}

Leaving Session::LeavingUntil(std::optional<absl::Time> wake, Instant now) const {
  Leaving leaving;
  leaving.wake = wake;
  leaving.promise = std::min(state_.deadline, FirstExpiryOf(state_));
  leaving.has_begun = state_.phase != v1::RUN_STATE_QUEUED;
  if (!state_.is_active()) return leaving;
  leaving.active_since = active_since_;
  leaving.stops = wake && *wake - now.wall >= FromProto(state_.limits.timeout()) - now.active;
  return leaving;
}

// A command or a deadline brought the session here over running_max, to record what they ask. What it may not do is begin what takes a place.
bool Session::LacksPlace(std::vector<v1::Event>& facts) {
  if (has_place_ || std::none_of(facts.begin(), facts.end(), IsWork)) return false;
  if (facts.back().has_run_stopped()) return false;  // it stops as it begins
  has_place_ = owner_.TakePlace(run_, WorkerOf());
  if (!has_place_) std::erase_if(facts, IsWork);
  return !has_place_;
}

Leaving Session::LeavingForPlace() const {
  Leaving leaving = LeavingUntil(std::nullopt, Now());
  leaving.worker = WorkerOf();
  return leaving;
}

Worker Session::WorkerOf() const { return state_.phase == v1::RUN_STATE_QUEUED && state_.parent_call().empty() ? Worker::kNew : Worker::kBegun; }

void Session::Record(std::vector<v1::Event> facts, std::vector<StagedArtifact> artifacts) {
  const Instant now = Now();
  // Wall time may jump back; a run's own time does not. Cut to what the journal keeps.
  const absl::Time time = absl::FromUnixMicros(absl::ToUnixMicros(std::max(now.wall, state_.last_time)));
  if (!artifacts.empty()) Flush();  // what names content goes with it, and with nothing before it
  for (v1::Event& fact : facts) {
    fact.set_sequence(state_.last_sequence + 1);
    *fact.mutable_time() = ToProto(time);
    fact.set_active_us(absl::ToInt64Microseconds(now.active));
    fact.set_epoch(environment_.store->epoch());
    if (fact.has_run_started()) fact.mutable_run_started()->set_node(options_.node);
    if (fact.has_call_started()) NameChild(*fact.mutable_call_started(), time);
    auto event = std::make_shared<const v1::Event>(std::move(fact));
    Apply(state_, event);
    if (!progressed_ && IsProgress(*event)) {
      progressed_ = true;
      owner_.OnProgress(run_);
    }
    recorded_.push_back(std::move(event));
  }
  active_since_ = environment_.clock->Monotonic();
  if (!artifacts.empty() || recorded_.size() >= kRecordedEventsMax) Flush(std::move(artifacts));
}

// A local run that waits for nothing is one item, not one for each fact: the columns of its row are made and written once.
void Session::Flush(std::vector<StagedArtifact> artifacts) {
  if (const auto creation = std::exchange(creation_, nullptr); creation != nullptr) {
    CreateDone made = gate_->AddCreation(creation->run.created->sequence());
    environment_.store->Create(std::move(creation->run), [made = std::move(made), done = std::move(creation->done)](CreateOutcome outcome) mutable {
      made(outcome);
      done(outcome);
    });
  }
  if (recorded_.empty()) return;
  AppendRequest request;
  request.run = run_;
  request.epoch = environment_.store->epoch();
  request.expected_last_sequence = recorded_.front()->sequence() - 1;
  request.events = std::exchange(recorded_, {});
  request.artifacts = std::move(artifacts);
  request.projection = ProjectionOf(state_);
  auto settled = state_.is_stopped() || state_.is_waiting() ? std::make_shared<const v1::Run>(RunOf(state_)) : nullptr;
  AppendDone done = gate_->Add(request.events, std::move(settled));
  environment_.store->Append(std::move(request), std::move(done));
}

void Session::StartOnce(const Effect& effect) {
  if (attempts_.contains(effect.sequence)) return;
  Attempt* const started = attempts_.emplace(effect.sequence, std::make_unique<Attempt>()).first->second.get();
  const auto ended = [self = shared_from_this(), sequence = effect.sequence](std::exception_ptr error) {
    if (error != nullptr) std::rethrow_exception(error);
    self->PushOutcome([self = self.get(), sequence] { self->attempts_.erase(sequence); });
  };
  if (effect.is_model()) {
    auto request = std::make_unique<ModelRequest>(BuildModelRequest(state_, *plan_, messages_));
    asio::co_spawn(strand_, RunModel(effect, std::move(request), state_.last_sequence, plan_->model->info().local),
                   asio::bind_cancellation_slot(started->signal.slot(), ended));
    return;
  }
  const StepState& step = *state_.last_step();
  const CallState& call = *state_.FindCall(effect.call);
  const PlannedTool& planned = plan_->tools.at(RequestOf(step, call).tool());
  // What a person allowed waits until the word is durable, local or not.
  const bool ahead = planned.spec->local && call.allowed == nullptr;
  ToolRequest request = BuildToolRequest(state_, *plan_, step, call);
  started->child = request.child != nullptr;
  if (started->child) request.child_runs = &owner_.child_runs();
  asio::co_spawn(strand_, RunCall(effect, std::move(request), planned.tool, ahead), asio::bind_cancellation_slot(started->signal.slot(), ended));
}

// An outcome never lives across a wait: it would take its room in the frame of every attempt that waits.
// `basis`: the last event that the request was made of. It may lie behind the intent: input that came while the session waited for the disk.
asio::awaitable<void> Session::RunModel(Effect effect, std::unique_ptr<ModelRequest> request, Sequence basis, bool local) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto self = shared_from_this();
  // What is written out of the basis goes to watchers as soon as the intent is durable.
  if ((!local || basis != effect.sequence) && !co_await gate_->Durable(basis)) co_return;
  const absl::Duration began = environment_.clock->Monotonic();
  // A cancel may have come between the intent and here, when there was no attempt to abort.
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none || state_.is_cancelling()) {
    EndUnaskedModel(effect, local, began);
    co_return;
  }
  const auto audience = request->purpose == v1::MODEL_PURPOSE_SUMMARIZE ? Deltas::Audience::kNobody : Deltas::Audience::kWatchers;
  Deltas deltas(*this, audience, effect, request->step);
  std::string thrown;
  try {
    asio::awaitable<ModelOutcome> deciding = plan_->model->Decide(std::move(*request), deltas);
    request.reset();  // the model has it
    EndModel(effect, local, began, co_await std::move(deciding));
    co_return;
  } catch (const std::exception& error) {
    thrown = error.what();
  }
  EndThrownModel(effect, local, began, thrown);
}

void Session::EndUnaskedModel(const Effect& effect, bool local, absl::Duration began) {
  ModelOutcome outcome;
  outcome.usage = v1::Usage();
  EndModel(effect, local, began, std::move(outcome));
}

void Session::EndThrownModel(const Effect& effect, bool local, absl::Duration began, absl::string_view what) {
  ModelOutcome outcome;
  outcome.error.set_reason("MODEL_BAD_RESPONSE");
  outcome.error.set_message(absl::StrCat("the model's connector failed: ", what));
  EndModel(effect, local, began, std::move(outcome));
}

void Session::EndModel(const Effect& effect, bool local, absl::Duration began, ModelOutcome&& outcome) noexcept {
  if (!outcome.decision && outcome.error.reason().empty()) {
    outcome.error.set_reason("INTERRUPTED");
    outcome.error.set_message("the attempt was cut off");
  }
  if (!outcome.usage && (local || !plan_->model->info().counts_tokens)) outcome.usage = v1::Usage();
  const absl::Duration duration = environment_.clock->Monotonic() - began;
  PushOutcome([this, effect, outcome = std::move(outcome), duration]() mutable { OnModelEnded(effect, std::move(outcome), duration); });
}

asio::awaitable<void> Session::RunCall(Effect effect, ToolRequest request, std::shared_ptr<Tool> tool, bool local) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto self = shared_from_this();
  if (!local && !co_await gate_->Durable(effect.sequence)) co_return;
  LimitTime(effect, request.timeout);
  const absl::Duration began = environment_.clock->Monotonic();
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none || state_.is_cancelling() ||
      (request.child != nullptr && IsAsked(request.child->run))) {
    if (request.child == nullptr || request.attempt == 1) {
      EndCall(effect, began, ToolFailed{"cancelled before it was sent", /*retryable=*/true, std::nullopt});
      co_return;
    }
    // An earlier attempt may have begun it: then its end is the call's.
    request.child = OnlyIfBegun(*request.child);
  }
  Deltas progress(*this, Deltas::Audience::kWatchers, effect, effect.call.step);
  std::string thrown;
  try {
    asio::awaitable<ToolOutcome> calling = tool->Call(std::move(request), progress);
    std::unique_ptr<CallEnd> large = EndCall(effect, began, co_await std::move(calling));
    if (large != nullptr) co_await EndLargeCall(effect, std::move(large));
    co_return;
  } catch (const std::exception& error) {
    thrown = error.what();
  }
  EndCall(effect, began, ToolUnknown{absl::StrCat("the tool's connector failed: ", thrown)});
}

std::unique_ptr<CallEnd> Session::EndCall(const Effect& effect, absl::Duration began, ToolOutcome&& outcome) noexcept {
  CallEnd end{std::move(outcome), /*timed_out=*/false, environment_.clock->Monotonic() - began};
  if (auto* const done = std::get_if<ToolDone>(&end.outcome)) {
    if (IsLarge(done->parts, options_.result)) return std::make_unique<CallEnd>(std::move(end));
    MakeValid(done->parts);
  }
  PushOutcome([this, effect, end = std::move(end)]() mutable { OnCallEnded(effect, std::move(end)); });
  return nullptr;
}

// The attempt stays under way until its result is on its way into the journal. Reading all of a large one takes longer than a strand should be held.
asio::awaitable<void> Session::EndLargeCall(Effect effect, std::unique_ptr<CallEnd> end) {
  const auto self = shared_from_this();
  if (const auto attempt = attempts_.find(effect.sequence); attempt != attempts_.end()) attempt->second->timeout.reset();  // it has answered in time
  auto parts = std::make_shared<std::vector<v1::Part>>(std::move(std::get<ToolDone>(end->outcome).parts));
  const StagingRoom::Lease lease = co_await room_->Take(ContentBytes(*parts));
  if (abandoned_) co_return;
  std::get<ToolDone>(end->outcome).place.reset();  // the room bounds it from here on
  struct Kept {
    std::vector<LargePart> large;
    absl::StatusOr<std::vector<ArtifactRecord>> known = std::vector<ArtifactRecord>();
  };
  Kept kept = co_await RunBlocking(environment_.blocking_pool, [self, parts, known = artifacts_known_] {
    Kept made{KeepApart(*parts, self->options_.result)};
    if (!known) made.known = self->environment_.store->ListArtifacts(self->run_);
    return made;
  });
  if (kept.known.ok()) {
    for (const ArtifactRecord& record : *kept.known) artifacts_.emplace(record.hash, record.number);
    artifacts_known_ = true;
  } else {
    gate_->Warn(state_.last_sequence, "what a run has of large results cannot be read now; the same may be kept twice",
                std::string(kept.known.status().message()));
  }
  for (LargePart& large : kept.large) {
    // The room is taken as long as the content is in memory: until the store has it.
    large.content = std::shared_ptr<const std::string>(large.content.get(), [content = large.content, lease](const std::string*) {});
  }
  std::get<ToolDone>(end->outcome).parts = std::move(*parts);
  end->large = std::move(kept.large);
  PushOutcome([this, effect, end = std::move(end)]() mutable { OnCallEnded(effect, std::move(*end)); });
}

// The time counts from when the call may leave. A tool that goes on in spite of its cancellation is given up: its call is settled without it.
void Session::LimitTime(const Effect& effect, absl::Duration timeout) {
  const auto attempt = attempts_.find(effect.sequence);
  if (attempt == attempts_.end()) return;
  Attempt* const limited = attempt->second.get();
  if (limited->child) {
    // Not cut off: its run has a deadline then and ends by itself, so that the call is not settled while that goes on. A wall clock that was set back must not
    // make it longer: then the run is cancelled.
    limited->timeout = environment_.timers->After(timeout + options_.cancel_grace, strand_, [weak = weak_from_this(), call = effect.call] {
      const auto self = weak.lock();
      const CallState* const late = self == nullptr ? nullptr : self->state_.FindCall(call);
      if (late != nullptr && late->child != nullptr) self->AskToCancel(ChildOf(*late));
    });
    return;
  }
  limited->timeout = environment_.timers->After(timeout, strand_, [this, weak = weak_from_this(), limited, effect, timeout] {
    if (weak.expired()) return;
    limited->timed_out = true;
    limited->timeout = environment_.timers->After(kAbortMax, strand_, [this, weak, effect, timeout] {
      if (weak.expired()) return;
      PushOutcome([this, effect, timeout] {
        OnCallEnded(effect, CallEnd{ToolUnknown{"it did not end when it was cancelled"}, /*timed_out=*/false, timeout + kAbortMax});
      });
    });
    limited->signal.emit(asio::cancellation_type::terminal);
  });
}

bool Session::IsHeard(const Effect& effect) const {
  const auto attempt = attempts_.find(effect.sequence);
  return attempt != attempts_.end() && !attempt->second->dropped;
}

// Whoever reads the count knows of the stop.
void Session::NoteLateResult(const Effect& effect) {
  if (state_.stopped == nullptr || state_.stopped->sequence() <= effect.sequence) return;
  gate_->WhenDurable(state_.stopped->sequence(), [weak = weak_from_this()](bool durable) {
    if (const auto self = weak.lock(); self != nullptr && durable) self->owner_.OnLateResult(self->run_);
  });
}

void Session::OnModelEnded(const Effect& effect, ModelOutcome outcome, absl::Duration duration) {
  if (outcome.decision) NoteLateResult(effect);
  const auto attempt = attempts_.find(effect.sequence);
  if (attempt == attempts_.end() || attempt->second->dropped || !state_.model.open || state_.model.attempts != effect.attempt) return;
  Record(FactsOfOutcome(state_, *plan_, std::move(outcome), duration, environment_.clock->Now(), environment_.random->NextDouble()));
}

void Session::OnCallEnded(const Effect& effect, CallEnd end) {
  if (std::holds_alternative<ToolDone>(end.outcome)) NoteLateResult(effect);
  const auto attempt = attempts_.find(effect.sequence);
  if (attempt == attempts_.end() || attempt->second->dropped) return;
  attempt->second->timeout.reset();
  const CallState* const call = state_.FindCall(effect.call);
  if (call == nullptr || call->phase != CallPhase::kOpen || call->attempts != effect.attempt) return;
  const ToolSpec& spec = *plan_->tools.at(RequestOf(*state_.last_step(), *call).tool()).spec;
  // A result that came in spite of the timeout is a result.
  auto* const done = std::get_if<ToolDone>(&end.outcome);
  end.timed_out = done == nullptr && attempt->second->timed_out;
  attempt->second->dropped = true;  // the first outcome counts
  std::vector<StagedArtifact> artifacts;
  if (done != nullptr) artifacts = NameArtifacts(state_, options_.result, artifacts_, done->parts, std::move(end.large));
  std::vector<v1::Event> facts;
  facts.push_back(FactOfOutcome(*call, spec, std::move(end), environment_.clock->Now(), environment_.random->NextDouble()));
  Record(std::move(facts), std::move(artifacts));
}

void Session::AbortAttempts() {
  for (auto& [sequence, attempt] : attempts_) {
    if (!attempt->child) attempt->signal.emit(asio::cancellation_type::terminal);
  }
  const StepState* const step = state_.last_step();
  if (step == nullptr) return;
  for (const CallState& call : step->calls) {
    if (call.child != nullptr && call.phase != CallPhase::kSettled) AskToCancel(ChildOf(call));
  }
}

void Session::DropAttempts() {
  for (auto& [sequence, attempt] : attempts_) {
    attempt->dropped = true;
    attempt->timeout.reset();
    attempt->signal.emit(asio::cancellation_type::terminal);
  }
}

}  // namespace agentruntime
