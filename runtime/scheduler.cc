#include "runtime/scheduler.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "runtime/due.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

constexpr int32_t kCommandsPerSessionMax = 64;  // on their way to one session
constexpr int32_t kWakesMax = 1000;             // of those that sleep, without letting others at the lock

// By run, so that a seed repeats a drain: a hash map's own order is another in each process.
template <typename Entries>
std::vector<std::shared_ptr<Session>> SessionsIn(const Entries& entries) {
  std::vector<std::shared_ptr<Session>> sessions;
  for (const auto& [run, entry] : entries) {
    if (entry.session != nullptr) sessions.push_back(entry.session);
  }
  std::sort(sessions.begin(), sessions.end(), [](const auto& a, const auto& b) { return a->run() < b->run(); });
  return sessions;
}

}  // namespace

Scheduler::Scheduler(const Environment& environment, const RuntimeOptions& options, AgentCatalog& catalog, std::shared_ptr<Publisher> publisher,
                     ChildRuns& child_runs)
    : environment_(environment),
      options_(options),
      catalog_(catalog),
      publisher_(std::move(publisher)),
      room_(std::make_shared<StagingRoom>(options.artifact_bytes_in_flight_max)),
      child_runs_(child_runs) {}

std::shared_ptr<Session> Scheduler::MakeSession(RunState state, std::shared_ptr<const RunPlan> plan, Session::Origin origin,
                                                std::optional<absl::Duration> active_since, std::unique_ptr<Creation> creation) {
  return std::make_shared<Session>(environment_, options_, std::move(state), std::move(plan), publisher_, room_, *this, origin, active_since,
                                   std::move(creation));
}

// A run that only waits for its children makes room for them: with it they would wait for each other.
bool Scheduler::HasRoom() const { return working_ < options_.running_max; }

// Those that await children stay in memory, for as long as a child waits for a person: at most running_max of them, or nothing would bound them. Runs that
// others wait for begin all the same, so each of those comes to its end.
bool Scheduler::MayBegin() const { return HasRoom() && awaiting_ < options_.running_max; }

bool Scheduler::MayBeginNew() const { return MayBegin() && waiting_.empty() && begun_.empty() && awaited_.empty(); }

absl::Status Scheduler::Admit() {
  MutexLock lock(mu_);
  if (draining_) return ServerDraining(std::nullopt);
  const auto queued = static_cast<int64_t>(waiting_.size() + begun_.size() + suspects_.size()) + sleepers_.queued() + creating_;
  if (queued >= options_.queued_max) return QueueFull("queued runs", options_.queued_max);
  ++creating_;
  return absl::OkStatus();
}

void Scheduler::NotCreated() {
  MutexLock lock(mu_);
  --creating_;
}

absl::Status Scheduler::AdmitChild(Need need) {
  MutexLock lock(mu_);
  // One decision's calls find room also where nothing may queue.
  const int64_t bound = options_.running_max + std::max<int64_t>(options_.queued_max, kCallsPerDecisionMax);
  if (need == Need::kRoom && working_ + awaiting_ + static_cast<int64_t>(queued_children_.size()) + creating_ >= bound) {
    // Not a code that says 'later': what would make room may wait for this call.
    return absl::FailedPreconditionError(absl::StrCat("the server has ", bound, " runs at work or in its queue, as many as it may; ask fewer agents at once"));
  }
  ++creating_;
  return absl::OkStatus();
}

void Scheduler::Hurry(const RunId& run) {
  {
    MutexLock lock(mu_);
    if (draining_ || entries_.contains(run) || sleepers_.IsAsleep(run)) return;
    if (suspects_.IsInLine(run)) return;  // one that may be what ends the server has its turn alone
    awaited_.Push({run, /*priority=*/0, run.time()});
    queued_children_.insert(run);
  }
  StartMore();
}

void Scheduler::OnAwaiting(const RunId& run, bool children) {
  {
    MutexLock lock(mu_);
    const auto at = entries_.find(run);
    if (at == entries_.end() || at->second.awaits_children == children) return;
    at->second.awaits_children = children;
    awaiting_ += children ? 1 : -1;
    if (at->second.has_place) working_ += children ? -1 : 1;
    if (children) ReleaseSuspect(run);  // a child may be the next of them
  }
  StartMore();
}

void Scheduler::Create(NewRun run, RunState state, std::shared_ptr<const RunPlan> plan, CreateDone done) {
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mu_);
    // Not one that answers a call: its id is its call's, so an earlier attempt may have made it.
    const bool is_child = !state.parent_call().empty();
    // Those that the store is making find their places.
    const bool has_turn = working_ + making_ < options_.running_max && MayBeginNew() && state.not_before <= environment_.clock->Now();
    if (!draining_ && !is_child && has_turn && environment_.clock->Monotonic() >= made_first_until_) {
      --creating_;
      session = Begin(std::move(state), std::move(plan), std::make_unique<Creation>(std::move(run), std::move(done)));
    } else {
      ++making_;
    }
  }
  if (session != nullptr) return session->Start();
  environment_.store->Create(
      std::move(run), [self = shared_from_this(), state = std::move(state), plan = std::move(plan), done = std::move(done)](CreateOutcome outcome) mutable {
        // On the store's thread. The run is durable whether or not anybody still waits for the reply.
        asio::post(self->environment_.pool, [self, created = outcome.kind == CreateOutcome::Kind::kCreated, state = std::move(state),
                                             plan = std::move(plan)]() mutable { self->Made(created, std::move(state), std::move(plan)); });
        done(outcome);
      });
}

void Scheduler::Made(bool created, RunState state, std::shared_ptr<const RunPlan> plan) {
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mu_);
    --creating_;
    --making_;
    // If it is durable the next start takes it up, or a command that came first did, and may have let it sleep again.
    if (!created || draining_ || entries_.contains(state.id) || sleepers_.IsAsleep(state.id)) return;
    const RunId run = state.id;
    const int32_t priority = state.priority();
    if (state.not_before > environment_.clock->Now()) {
      return Sleep(run, {.until = Sleeper::Until::kStart, .wake = state.not_before, .priority = priority, .promise = state.deadline});
    }
    const bool is_child = !state.parent_call().empty();
    if (is_child ? !HasRoom() : !MayBeginNew()) {
      (is_child ? awaited_ : waiting_).Push({run, priority, run.time()});
      if (is_child) queued_children_.insert(run);
      return WakeAt(run, state.deadline);
    }
    session = Begin(std::move(state), std::move(plan), nullptr);
  }
  session->Start();
}

std::shared_ptr<Session> Scheduler::Begin(RunState state, std::shared_ptr<const RunPlan> plan, std::unique_ptr<Creation> creation) {
  const RunId run = state.id;
  Entry& entry = entries_[run];
  entry.priority = state.priority();
  entry.not_before = state.not_before;
  entry.session = MakeSession(std::move(state), std::move(plan), Session::Origin::kCreated, std::nullopt, std::move(creation));
  GivePlace(entry);
  ++alive_;
  return entry.session;
}

void Scheduler::Sleep(const RunId& run, const Sleeper& sleeper) {
  sleepers_.Add(run, sleeper);
  if (sleepers_.first() < alarm_time_) SetAlarm();
}

void Scheduler::WakeAt(const RunId& run, absl::Time end) {
  if (end < absl::InfiniteFuture()) Sleep(run, {.until = Sleeper::Until::kEnd, .wake = end});
}

void Scheduler::SetAlarm() {
  if (draining_ || sleepers_.empty()) return;
  alarm_time_ = sleepers_.first();
  const absl::Duration delay = std::clamp(alarm_time_ - environment_.clock->Now(), absl::ZeroDuration(), kClockLook);
  alarm_ = environment_.timers->After(delay, environment_.blocking_pool, [self = shared_from_this()] { self->WakeDue(); });
}

void Scheduler::WakeDue() {
  {
    MutexLock lock(mu_);
    if (draining_) return;
    const absl::Time now = environment_.clock->Now();
    int32_t woken = 0;
    for (; woken < kWakesMax; ++woken) {
      const auto due = sleepers_.TakeDue(now);
      if (!due) break;
      Wake(due->first, due->second, now);
    }
    alarm_time_ = absl::InfiniteFuture();
    if (woken == kWakesMax) {
      asio::post(environment_.blocking_pool, [self = shared_from_this()] { self->WakeDue(); });
    } else {
      SetAlarm();
    }
  }
  StartMore();
}

void Scheduler::Wake(const RunId& run, const Sleeper& sleeper, absl::Time now) {
  const QueuedRun queued = {run, sleeper.priority, std::min(sleeper.wake, now)};  // one that lies far ahead is due as well
  if (sleeper.until == Sleeper::Until::kStart) {
    waiting_.Push(queued);
  } else if (sleeper.until != Sleeper::Until::kEnd) {
    awaited_.Push(queued);  // another run may await one that has begun
  }
  if (IsPromised(sleeper, now)) return promised_.Push(queued);
  WakeAt(run, sleeper.promise);
  if (const auto active = active_.find(run); active != active_.end()) active->second.queues_since = environment_.clock->Monotonic();
}

RunQueue* Scheduler::NextQueue() {
  if (!HasRoom()) return nullptr;
  if (!awaited_.empty()) return &awaited_;
  if (MayBegin() && waiting_.GoesBefore(begun_)) return &waiting_;
  return begun_.empty() ? nullptr : &begun_;
}

void Scheduler::StartMore() {
  MutexLock lock(mu_);
  if (draining_) return;
  // These end, as a rule, or give what they hold to others soon: they go first.
  while (loading_ < kLoadsMax && promises_ < kPromisedMax && !promised_.empty()) {
    const RunId run = promised_.Pop();
    if (entries_.contains(run)) continue;
    BeginLoad(run, /*promise=*/absl::InfinitePast()).is_promised = true;
    ++promises_;
  }
  while (loading_ < kLoadsMax) {
    RunQueue* const next = NextQueue();
    if (next == nullptr) break;
    const RunId run = next->Pop();
    if (!entries_.contains(run)) {
      GivePlace(BeginLoad(run));
    } else {
      queued_children_.erase(run);  // it was made while a parent hurried it
    }
  }
  while (HasRoom()) {
    const auto suspect = suspects_.Begin();
    if (!suspect) break;
    const RunId run = suspect->run;
    if (entries_.contains(run)) {  // a command came first; it queues again when it lacks a place
      suspects_.End(run);
      continue;
    }
    GivePlace(BeginLoad(run));
    probation_ = environment_.timers->After(suspect->probation, environment_.blocking_pool, [self = shared_from_this(), run] { self->EndProbation(run); });
  }
}

void Scheduler::Deliver(const RunId& run, Session& session, Mail mail) {
  ++entries_[run].undelivered;
  session.Send([self = shared_from_this(), run, mail = std::move(mail)](Session& target) mutable {
    {
      MutexLock lock(self->mu_);
      --self->entries_[run].undelivered;
    }
    if (!target.IsTakenUp()) return mail.failed(target.is_parking() ? ServerDraining(std::nullopt) : StoreUnavailable("another server has taken the run over"));
    if (target.replies() >= kCommandsPerSessionMax) return mail.failed(QueueFull("commands for this run", kCommandsPerSessionMax));
    mail.command(target);
  });
}

void Scheduler::Send(const RunId& run, Session::Command command, Need need, Failed failed) {
  absl::Status refused;
  {
    MutexLock lock(mu_);
    const auto at = entries_.find(run);
    if (draining_) {
      refused = ServerDraining(std::nullopt);
    } else if (at == entries_.end() && need == Need::kRoom && !MayBegin()) {
      refused = QueueFull("sessions", options_.running_max);
    } else if (at == entries_.end() && need != Need::kNothing && static_cast<int64_t>(entries_.size()) >= SessionsMax()) {
      refused = QueueFull("sessions", SessionsMax());
    } else if (at == entries_.end()) {
      Entry& entry = BeginLoad(run);
      if (need == Need::kRoom) GivePlace(entry);
      entry.mail.push_back({std::move(command), std::move(failed)});
      return;
    } else if (at->second.undelivered + static_cast<int32_t>(at->second.mail.size()) >= kCommandsPerSessionMax) {
      refused = QueueFull("commands for this run", kCommandsPerSessionMax);
    } else if (at->second.session == nullptr) {
      at->second.mail.push_back({std::move(command), std::move(failed)});
      return;
    } else {
      Deliver(run, *at->second.session, {std::move(command), std::move(failed)});
      return;
    }
  }
  failed(std::move(refused));
}

void Scheduler::OnWritable() {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    MutexLock lock(mu_);
    sessions = SessionsIn(entries_);
  }
  for (const auto& session : sessions) session->Nudge();
}

int32_t Scheduler::sessions() {
  MutexLock lock(mu_);
  return alive_;
}

bool Scheduler::IsAtWork(const RunId& run) {
  MutexLock lock(mu_);
  const auto at = entries_.find(run);
  return at != entries_.end() && at->second.session != nullptr && !at->second.session->settled();
}

// Leaving and delivering mail are one critical section, so no command reaches a session that is gone.
bool Scheduler::TryLeave(const RunId& run, const Leaving& leaving) {
  MutexLock lock(mu_);
  const auto at = entries_.find(run);
  if (at->second.undelivered > 0) return false;
  const Entry& entry = at->second;
  if (leaving.wake) {
    const auto until = !leaving.has_begun ? Sleeper::Until::kStart : leaving.active_since ? Sleeper::Until::kRetry : Sleeper::Until::kPerson;
    Sleep(run, {until, *leaving.wake, entry.priority, leaving.stops, leaving.promise});
    if (leaving.active_since) active_[run] = {*leaving.active_since};
  }
  if (leaving.worker) Queue(run, entry, leaving);
  if (!leaving.wake && !leaving.worker) sleepers_.Remove(run);
  Forget(at->second);
  entries_.erase(at);
  ReleaseSuspect(run);
  return true;
}

void Scheduler::Queue(const RunId& run, const Entry& entry, const Leaving& leaving) {
  if (leaving.active_since) active_[run] = {*leaving.active_since, environment_.clock->Monotonic()};
  if (const auto suspect = SuspectOf(run, entry.barren_starts)) {
    suspects_.Push(*suspect);
  } else if (leaving.worker == Worker::kNew) {
    waiting_.Push({run, entry.priority, std::max(run.time(), entry.not_before)});
  } else {
    awaited_.Push({run, entry.priority, environment_.clock->Now()});
  }
  WakeAt(run, leaving.promise);
}

bool Scheduler::TakePlace(const RunId& run, Worker worker) {
  MutexLock lock(mu_);
  Entry& entry = entries_.at(run);
  if (entry.has_place) return true;
  // A suspect works when its turn comes, and nobody goes ahead of those that wait.
  if (entry.barren_starts > 0 || !awaited_.empty()) return false;
  if (worker == Worker::kNew ? !MayBeginNew() : !HasRoom()) return false;
  GivePlace(entry);
  return true;
}

void Scheduler::GivePlace(Entry& entry) {
  entry.has_place = true;
  if (!entry.awaits_children) ++working_;
}

void Scheduler::Forget(Entry& entry) {
  if (entry.awaits_children) --awaiting_;
  if (entry.has_place && !entry.awaits_children) --working_;
  KeepPromise(entry);
}

void Scheduler::KeepPromise(Entry& entry) {
  if (std::exchange(entry.is_promised, false)) --promises_;
}

void Scheduler::OnEnded(const RunId&) {
  std::vector<std::shared_ptr<Completion<bool>>> drained;
  {
    MutexLock lock(mu_);
    --alive_;
    drained = TakeDrained();
  }
  for (const auto& completion : drained) completion->Complete(true);
  StartMore();
}

std::vector<std::shared_ptr<Completion<bool>>> Scheduler::TakeDrained() {
  if (!draining_ || alive_ > 0 || loading_ > 0) return {};
  return std::exchange(drained_, {});
}

void Scheduler::OnProgress(const RunId& run) {
  {
    MutexLock lock(mu_);
    const bool had_turn = ReleaseSuspect(run);
    const auto at = entries_.find(run);
    const bool was_promised = at != entries_.end() && at->second.is_promised;
    if (at != entries_.end()) {
      at->second.barren_starts = 0;
      KeepPromise(at->second);
    }
    if (!had_turn && !was_promised) return;
  }
  StartMore();
}

void Scheduler::EndProbation(const RunId& run) {
  {
    MutexLock lock(mu_);
    ReleaseSuspect(run);
  }
  StartMore();
}

bool Scheduler::ReleaseSuspect(const RunId& run) {
  const bool had_turn = suspects_.End(run);
  if (had_turn) probation_.reset();
  return had_turn;
}

void Scheduler::Close() {
  MutexLock lock(mu_);
  draining_ = true;
}

asio::awaitable<void> Scheduler::Drain(absl::Duration grace) {
  auto drained = std::make_shared<Completion<bool>>();
  std::vector<std::shared_ptr<Session>> sessions;
  bool idle = false;
  {
    MutexLock lock(mu_);
    draining_ = true;
    recovery_.reset();
    reload_.reset();
    alarm_.reset();
    probation_.reset();
    sessions = SessionsIn(entries_);
    idle = alive_ == 0 && loading_ == 0;
    if (!idle) drained_.push_back(drained);
  }
  if (idle) co_return;
  for (const auto& session : sessions) session->Park();
  const auto executor = co_await asio::this_coro::executor;
  const auto deadline = environment_.timers->After(grace, executor, [self = shared_from_this()] {
    std::vector<std::shared_ptr<Session>> late;
    {
      MutexLock lock(self->mu_);
      late = SessionsIn(self->entries_);
    }
    self->room_->Close();
    for (const auto& session : late) session->Abandon();
  });
  co_await drained->Wait();
}

}  // namespace agentruntime
