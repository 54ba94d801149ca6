// How runs come back into memory: what a start finds in the store, and what something is to be done for.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "proto/base/log.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "runtime/conversation.h"
#include "runtime/due.h"
#include "runtime/load.h"
#include "runtime/scheduler.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

constexpr int32_t kRecoveryPage = 1000;
constexpr absl::Duration kRetryPause = absl::Seconds(1);  // before what could not be read is read again
constexpr absl::Duration kMadeFirst = absl::Minutes(10);  // after a start that found runs without progress

// What the run waits for out of memory, as its row says. The time that it may be active passes from now on.
std::optional<Sleeper> SleeperOf(const UnfinishedRun& run, absl::Time now) {
  if (!run.wake_time) return std::nullopt;
  Sleeper sleeper = {.wake = *run.wake_time, .priority = run.priority, .promise = run.deadline.value_or(absl::InfiniteFuture())};
  if (run.state == v1::RUN_STATE_QUEUED) {
    sleeper.until = Sleeper::Until::kStart;
  } else if (run.state == v1::RUN_STATE_WAITING) {
    sleeper.until = Sleeper::Until::kPerson;
  } else if (run.barren_starts >= kBarrenStartsSuspect) {
    return std::nullopt;  // one that may be what ends the server is looked at first
  } else {
    sleeper.until = Sleeper::Until::kRetry;
    const absl::Time over = now + (run.timeout - run.active_time);
    sleeper.stops = over <= sleeper.wake;
    sleeper.wake = std::min(sleeper.wake, over);
  }
  return sleeper;
}

}  // namespace

bool Scheduler::Recovered(const UnfinishedRun& run) {
  if (entries_.contains(run.id)) return false;  // a command came first
  // What ended the server may be a new run that was not durable, and comes again: made first, it is there to be counted.
  if (run.barren_starts > 0) made_first_until_ = environment_.clock->Monotonic() + kMadeFirst;
  const absl::Time accepted = run.id.time();
  const bool has_begun = run.state != v1::RUN_STATE_QUEUED;
  if (run.epoch < environment_.store->restored_epoch()) {
    (has_begun ? begun_ : waiting_).Push({run.id, run.priority, accepted});  // to be stopped, whatever it waits for
    return false;
  }
  const absl::Time now = environment_.clock->Now();
  const std::optional<Sleeper> sleeper = SleeperOf(run, now);
  if (sleeper && !IsDue(*sleeper, now)) {
    if (sleeper->until == Sleeper::Until::kRetry) active_[run.id] = {environment_.clock->Monotonic()};
    Sleep(run.id, *sleeper);
    return true;
  }
  if (const auto suspect = SuspectOf(run.id, run.barren_starts)) {
    suspects_.Push(*suspect);
  } else {
    // One that is under way has waited since it was accepted, whatever it was to try again.
    (has_begun ? begun_ : waiting_)
        .Push({run.id, run.priority, run.state == v1::RUN_STATE_RUNNING ? accepted : std::min(run.wake_time.value_or(accepted), now)});
  }
  if (sleeper && IsPromised(*sleeper, now)) {
    promised_.Push({run.id, run.priority, sleeper->wake});
  } else {
    WakeAt(run.id, run.deadline.value_or(absl::InfiniteFuture()));
  }
  return false;
}

void Scheduler::RecoverAfter(std::optional<RunId> after, int64_t found) {
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
      if (draining_) return;
      for (const UnfinishedRun& unfinished : *page) asleep += Recovered(unfinished) ? 1 : 0;
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

Scheduler::Entry& Scheduler::BeginLoad(const RunId& run, absl::Time promise) {
  promise = std::min(promise, sleepers_.PromiseTo(run));
  sleepers_.Remove(run);
  waiting_.Remove(run);
  begun_.Remove(run);
  awaited_.Remove(run);
  queued_children_.erase(run);
  promised_.Remove(run);
  ++loading_;
  asio::post(environment_.blocking_pool, [self = shared_from_this(), run, promise] { self->Load(run, promise); });
  return entries_[run];
}

void Scheduler::Load(RunId run, absl::Time promise) {
  auto state = LoadState(*environment_.store, run);
  if (!state.ok()) return LoadFailed(run, std::move(state).status(), promise);
  const auto name = ParseAgentName(state->agent());
  auto plan = name ? catalog_.Load(*name) : AgentNotFound(state->agent());
  // Revisions are never removed: without its own the run is as damaged as without an event.
  if (absl::IsNotFound(plan.status())) plan = AgentDamaged(state->agent(), "it is not there");
  // A fork takes no part in its source's conversation, but goes on from what was read of it.
  if (plan.ok()) plan = WithEarlierRuns(*environment_.store, *std::move(plan), state->created->run_created().earlier_runs());
  if (!plan.ok()) return LoadFailed(run, std::move(plan).status(), promise);
  Loaded(*std::move(state), *std::move(plan));
}

void Scheduler::Loaded(RunState state, std::shared_ptr<const RunPlan> plan) {
  const RunId run = state.id;
  publisher_->TakeBack(run);
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mu_);
    --loading_;
    std::optional<absl::Duration> active_since;
    if (const auto node = active_.extract(run)) {
      const ActiveTime& active = node.mapped();
      active_since = active.since + std::max(environment_.clock->Monotonic() - active.queues_since, absl::ZeroDuration());
    }
    session = MakeSession(std::move(state), std::move(plan), Session::Origin::kLoaded, active_since);
    Entry& entry = entries_[run];
    entry.session = session;
    entry.priority = session->state().priority();
    entry.not_before = session->state().not_before;
    if (session->state().is_live() && SuspectOf(run, session->state().barren_starts)) entry.barren_starts = session->state().barren_starts;
    // A command loads a suspect out of its turn, not to work.
    if (entry.barren_starts > 0 && !suspects_.HasTurn(run) && std::exchange(entry.has_place, false)) --working_;
    ++alive_;
    if (draining_) session->Park();
    for (Mail& mail : std::exchange(entry.mail, {})) Deliver(run, *session, std::move(mail));
  }
  session->Start();
  StartMore();
}

void Scheduler::LoadFailed(const RunId& run, absl::Status status, absl::Time promise) {
  // A damaged run is set aside; what is only out of reach now (a busy reader, a disk that stutters) is tried again.
  const bool for_good = absl::IsNotFound(status) || absl::IsDataLoss(status);
  if (!absl::IsNotFound(status)) {
    Log(for_good ? LogLevel::kError : LogLevel::kWarn, for_good ? "a run cannot be loaded; it is set aside" : "a run cannot be loaded now; trying again",
        {{"run", run.ToString()}, {"reason", std::string(status.message())}});
  }
  if (absl::IsDataLoss(status)) publisher_->SetAside(run, status);  // while nobody can load it again
  std::vector<Mail> mail;
  std::vector<std::shared_ptr<Completion<bool>>> drained;
  {
    MutexLock lock(mu_);
    --loading_;
    const auto at = entries_.find(run);
    mail = std::move(at->second.mail);
    if (for_good) active_.erase(run);
    if (!for_good) TryAgainLater(run, promise);
    Forget(at->second);
    entries_.erase(at);
    ReleaseSuspect(run);
    drained = TakeDrained();
  }
  for (Mail& each : mail) each.failed(CloneStatus(status));
  for (const auto& completion : drained) completion->Complete(true);
  StartMore();
}

void Scheduler::TryAgainLater(const RunId& run, absl::Time promise) {
  unread_.push_back({run, suspects_.HasTurn(run) ? suspects_.current() : std::nullopt, promise});
  if (draining_ || unread_.size() > 1) return;  // the others wait for the same pause
  reload_ = environment_.timers->After(kRetryPause, environment_.blocking_pool, [self = shared_from_this()] {
    {
      MutexLock lock(self->mu_);
      for (const Unread& unread : std::exchange(self->unread_, {})) {
        if (self->entries_.contains(unread.run)) continue;
        // Its priority is in its journal, which could not be read, and whether another run awaits it: it is tried again by its age.
        if (unread.suspect) {
          self->suspects_.Push(*unread.suspect);
        } else if (!self->suspects_.IsInLine(unread.run)) {
          self->awaited_.Push({unread.run, /*priority=*/0, unread.run.time()});
        }
        self->WakeAt(unread.run, unread.promise);
      }
    }
    self->StartMore();
  });
}

}  // namespace agentruntime
