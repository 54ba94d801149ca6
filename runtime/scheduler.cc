#include "runtime/scheduler.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "runtime/backoff.h"
#include "runtime/conversation.h"
#include "runtime/load.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

constexpr int32_t kCommandsPerSessionMax = 64;  // on their way to one session
constexpr int32_t kRecoveryPage = 1000;
constexpr absl::Duration kAlarmMax = absl::Minutes(1);    // then the wall clock is looked at again: it may have been set
constexpr absl::Duration kRetryPause = absl::Seconds(1);  // before what could not be read is read again

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

// What the run waits for out of memory, as its row says.
std::optional<Sleeper> SleeperOf(const UnfinishedRun& run) {
  if (!run.wake_time) return std::nullopt;
  switch (run.state) {
    case v1::RUN_STATE_QUEUED: return Sleeper{Sleeper::Until::kStart, *run.wake_time, run.priority};
    case v1::RUN_STATE_WAITING: return Sleeper{Sleeper::Until::kPerson, *run.wake_time, run.priority};
    default: break;
  }
  // One that may be what ends the server is looked at first.
  if (run.barren_starts >= kBarrenStartsSuspect) return std::nullopt;
  return Sleeper{Sleeper::Until::kRetry, *run.wake_time, run.priority};
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
                                                std::optional<absl::Duration> active_since) {
  return std::make_shared<Session>(environment_, options_, std::move(state), std::move(plan), publisher_, room_, *this, origin, active_since);
}

// A run that only waits for its children makes room for them: with it they would wait for each other.
bool Scheduler::HasRoom() const { return static_cast<int64_t>(entries_.size()) - awaiting_ < options_.running_max; }

// Those that await children stay in memory, for as long as a child waits for a person: at most running_max of them, or nothing would bound them. Runs that
// others wait for begin all the same, so each of those comes to its end.
bool Scheduler::MayBegin() const { return HasRoom() && awaiting_ < options_.running_max; }

absl::Status Scheduler::Admit() {
  MutexLock lock(mu_);
  if (draining_) return ServerDraining(std::nullopt);
  const auto queued = static_cast<int64_t>(waiting_.size() + suspects_.size()) + sleepers_.queued() + creating_;
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
  if (need == Need::kRoom && static_cast<int64_t>(entries_.size() + awaited_.size()) + creating_ >= bound) {
    // Not a code that says 'later': what would make room may wait for this call.
    return absl::FailedPreconditionError(absl::StrCat("the server holds ", bound, " runs, as many as it may; ask fewer agents at once"));
  }
  ++creating_;
  return absl::OkStatus();
}

void Scheduler::Hurry(const RunId& run) {
  {
    MutexLock lock(mu_);
    if (draining_ || entries_.contains(run) || sleepers_.contains(run)) return;
    // One that may be what ends the server has its turn alone.
    if (std::any_of(suspects_.begin(), suspects_.end(), [&](const Suspect& suspect) { return suspect.run == run; })) return;
    awaited_.Push({run, /*priority=*/0, run.time()});
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
    if (children) ReleaseSuspect(run);  // a child may be the next of them
  }
  StartMore();
}

void Scheduler::Created(RunState state, std::shared_ptr<const RunPlan> plan) {
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mu_);
    --creating_;
    if (draining_ || entries_.contains(state.id)) return;  // durable: the next start, or the command that came first, takes it up
    const RunId run = state.id;
    const int32_t priority = state.priority();
    if (state.not_before > environment_.clock->Now()) return Sleep(run, {Sleeper::Until::kStart, state.not_before, priority});
    if (!state.parent_call().empty()) {
      if (!HasRoom()) return awaited_.Push({run, priority, run.time()});
    } else if (!MayBegin() || !waiting_.empty() || !awaited_.empty()) {
      return waiting_.Push({run, priority, run.time()});
    }
    const absl::Time not_before = state.not_before;
    session = MakeSession(std::move(state), std::move(plan), Session::Origin::kCreated);
    entries_[run] = {.priority = priority, .not_before = not_before, .session = session};
    ++alive_;
  }
  session->Start();
}

void Scheduler::RecoverAfter(std::optional<RunId> after, int64_t found) {
  const Epoch restored = environment_.store->restored_epoch();
  for (;;) {
    auto page = environment_.store->UnfinishedRuns(after, kRecoveryPage);
    if (absl::IsDataLoss(page.status())) {
      // Asking again would find the same. Those that were found are served; the others stay as they are, for the file's restored copy.
      Log(LogLevel::kError, "unfinished runs are not taken up", {{"reason", std::string(page.status().message())}});
      return;
    }
    if (!page.ok()) {
      Log(LogLevel::kWarn, "unfinished runs cannot be read now; trying again", {{"reason", std::string(page.status().message())}});
      MutexLock lock(mu_);
      if (draining_) return;
      recovery_ =
          environment_.timers->After(kRetryPause, environment_.blocking_pool, [self = shared_from_this(), after, found] { self->RecoverAfter(after, found); });
      return;
    }
    if (page->empty()) break;
    int64_t asleep = 0;
    {
      MutexLock lock(mu_);
      for (const UnfinishedRun& unfinished : *page) {
        if (unfinished.epoch < restored) {
          waiting_.Push({unfinished.id, unfinished.priority, unfinished.id.time()});  // to be stopped, whatever it waits for
        } else if (const auto sleeper = SleeperOf(unfinished); sleeper && !IsDue(*sleeper, environment_.clock->Now())) {
          Sleep(unfinished.id, *sleeper);
          ++asleep;
        } else if (unfinished.barren_starts >= kBarrenStartsSuspect) {
          suspects_.push_back({unfinished.id, /*on_probation=*/unfinished.barren_starts == kBarrenStartsSuspect});
        } else {
          // One that is under way has waited since it was accepted, whatever it was to try again.
          const absl::Time accepted = unfinished.id.time();
          waiting_.Push({unfinished.id, unfinished.priority, unfinished.state == v1::RUN_STATE_RUNNING ? accepted : unfinished.wake_time.value_or(accepted)});
        }
      }
    }
    found += static_cast<int64_t>(page->size()) - asleep;
    after = page->back().id;
    StartMore();
  }
  int64_t suspects = 0;
  {
    MutexLock lock(mu_);
    suspects = static_cast<int64_t>(suspects_.size());
  }
  if (suspects > 0) Log(LogLevel::kWarn, "runs that were taken up again and again without progress are taken up one at a time", {{"runs", suspects}});
  if (found > 0) Log(LogLevel::kInfo, "unfinished runs are taken up", {{"runs", found}});
}

void Scheduler::Sleep(const RunId& run, const Sleeper& sleeper) {
  sleepers_.Add(run, sleeper);
  if (sleeper.wake < alarm_time_) SetAlarm();
}

void Scheduler::SetAlarm() {
  if (draining_ || sleepers_.empty()) return;
  alarm_time_ = sleepers_.first();
  const absl::Duration delay = std::clamp(alarm_time_ - environment_.clock->Now(), absl::ZeroDuration(), kAlarmMax);
  alarm_ = environment_.timers->After(delay, environment_.blocking_pool, [self = shared_from_this()] { self->WakeDue(); });
}

void Scheduler::WakeDue() {
  {
    MutexLock lock(mu_);
    if (draining_) return;
    const absl::Time now = environment_.clock->Now();
    while (const auto due = sleepers_.TakeDue(now)) {
      const auto& [run, sleeper] = *due;
      // Another run may await one that has begun.
      (sleeper.until == Sleeper::Until::kStart ? waiting_ : awaited_).Push({run, sleeper.priority, sleeper.wake});
    }
    alarm_time_ = absl::InfiniteFuture();
    SetAlarm();
  }
  StartMore();
}

void Scheduler::StartMore() {
  MutexLock lock(mu_);
  if (draining_) return;
  while (loading_ < kLoadsMax && (awaited_.empty() ? !waiting_.empty() && MayBegin() : HasRoom())) {
    const RunId run = (awaited_.empty() ? waiting_ : awaited_).Pop();
    if (!entries_.contains(run)) BeginLoad(run);
  }
  while (!suspect_ && !suspects_.empty() && HasRoom()) {
    const Suspect suspect = suspects_.front();
    suspects_.pop_front();
    const RunId run = suspect.run;
    if (entries_.contains(run)) continue;
    suspect_ = suspect;
    BeginLoad(run);
    probation_.reset();
    if (suspect.on_probation) {
      probation_ = environment_.timers->After(kSuspectProbation, environment_.blocking_pool, [self = shared_from_this(), run] { self->OnProgress(run); });
    }
  }
}

void Scheduler::BeginLoad(const RunId& run) {
  entries_[run];
  sleepers_.Remove(run);
  waiting_.Remove(run);
  awaited_.Remove(run);
  ++loading_;
  asio::post(environment_.blocking_pool, [self = shared_from_this(), run] { self->Load(run); });
}

void Scheduler::Load(RunId run) {
  auto state = LoadState(*environment_.store, run);
  if (!state.ok()) return LoadFailed(run, std::move(state).status());
  const auto name = ParseAgentName(state->agent());
  auto plan = name ? catalog_.Load(*name) : AgentNotFound(state->agent());
  // Revisions are never removed: without its own the run is as damaged as without an event.
  if (absl::IsNotFound(plan.status())) plan = AgentDamaged(state->agent(), "it is not there");
  // A fork takes no part in its source's conversation, but goes on from what was read of it.
  if (plan.ok()) plan = WithEarlierRuns(*environment_.store, *std::move(plan), state->created->run_created().earlier_runs());
  if (!plan.ok()) return LoadFailed(run, std::move(plan).status());
  Loaded(*std::move(state), *std::move(plan));
}

void Scheduler::Loaded(RunState state, std::shared_ptr<const RunPlan> plan) {
  const RunId run = state.id;
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mu_);
    --loading_;
    std::optional<absl::Duration> active_since;
    if (const auto node = active_since_.extract(run)) active_since = node.mapped();
    session = MakeSession(std::move(state), std::move(plan), Session::Origin::kLoaded, active_since);
    Entry& entry = entries_[run];
    entry.session = session;
    entry.priority = session->state().priority();
    entry.not_before = session->state().not_before;
    ++alive_;
    if (draining_) session->Park();
    for (Mail& mail : std::exchange(entry.mail, {})) Deliver(run, *session, std::move(mail));
  }
  session->Start();
  StartMore();
}

void Scheduler::LoadFailed(const RunId& run, absl::Status status) {
  // A damaged run is set aside; what is only out of reach now (a busy reader, a disk that stutters) is tried again.
  const bool for_good = absl::IsNotFound(status) || absl::IsDataLoss(status);
  if (!absl::IsNotFound(status)) {
    Log(for_good ? LogLevel::kError : LogLevel::kWarn, for_good ? "a run cannot be loaded; it is set aside" : "a run cannot be loaded now; trying again",
        {{"run", run.ToString()}, {"reason", std::string(status.message())}});
  }
  std::vector<Mail> mail;
  std::vector<std::shared_ptr<Completion<bool>>> drained;
  {
    MutexLock lock(mu_);
    --loading_;
    mail = std::move(entries_[run].mail);
    entries_.erase(run);  // it has no session, so it awaits nobody
    if (for_good) active_since_.erase(run);
    if (absl::IsDataLoss(status)) set_aside_.insert(run);
    if (!for_good) TryAgainLater(run);
    ReleaseSuspect(run);
    drained = TakeDrained();
  }
  for (Mail& each : mail) each.failed(CloneStatus(status));
  if (absl::IsDataLoss(status)) publisher_->SetAside(run);
  for (const auto& completion : drained) completion->Complete(true);
  StartMore();
}

void Scheduler::TryAgainLater(const RunId& run) {
  unread_.push_back({run, suspect_ && suspect_->run == run ? suspect_ : std::nullopt});
  if (draining_ || unread_.size() > 1) return;  // the others wait for the same pause
  reload_ = environment_.timers->After(kRetryPause, environment_.blocking_pool, [self = shared_from_this()] {
    {
      MutexLock lock(self->mu_);
      for (const Unread& unread : std::exchange(self->unread_, {})) {
        if (self->entries_.contains(unread.run)) continue;
        // Its priority is in its journal, which could not be read, and whether another run awaits it: it is tried again by its age.
        if (unread.suspect) {
          self->suspects_.push_back(*unread.suspect);
        } else {
          self->awaited_.Push({unread.run, /*priority=*/0, unread.run.time()});
        }
      }
    }
    self->StartMore();
  });
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
      BeginLoad(run);
      entries_[run].mail.push_back({std::move(command), std::move(failed)});
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

bool Scheduler::IsSetAside(const RunId& run) {
  MutexLock lock(mu_);
  return set_aside_.contains(run);
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
  if (leaving.wake) {
    // Nothing else that a run waits for ends before it may begin.
    const auto until = *leaving.wake <= at->second.not_before ? Sleeper::Until::kStart
                       : leaving.active_since                 ? Sleeper::Until::kRetry
                                                              : Sleeper::Until::kPerson;
    Sleep(run, {until, *leaving.wake, at->second.priority});
    if (leaving.active_since) active_since_[run] = *leaving.active_since;
  }
  if (at->second.awaits_children) --awaiting_;
  entries_.erase(at);
  ReleaseSuspect(run);
  return true;
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
    if (!suspect_ || suspect_->run != run) return;
    ReleaseSuspect(run);
  }
  StartMore();
}

void Scheduler::ReleaseSuspect(const RunId& run) {
  if (suspect_ && suspect_->run == run) suspect_.reset();
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
