// Which runs have a session. The scheduler alone owns run -> session: it admits, queues, recovers, loads, parks and forgets.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "proto/base/mutex.h"
#include "runtime/agent_catalog.h"
#include "runtime/completion.h"
#include "runtime/environment.h"
#include "runtime/gate.h"
#include "runtime/run_queue.h"
#include "runtime/session.h"
#include "runtime/sleepers.h"
#include "runtime/suspects.h"

namespace agentruntime {

inline constexpr int32_t kLoadsMax = 64;  // runs that are loaded at once, so that a restart does not stampede
// Sessions that were made for what is promised for this moment (a deadline, an expiry) and have not recorded it yet: what one commit of the store takes.
inline constexpr int32_t kPromisedMax = 1000;

// running_max is the number of places to work. A session has one from the start if its run's turn had come. One that a command or a promised moment made finds
// room beyond (SessionsMax and kPromisedMax), records what it was made for, and works on only if a place is free; else it leaves, and its run queues.
//
// Thread-safe.
class Scheduler final : public SessionOwner, public std::enable_shared_from_this<Scheduler> {
 public:
  // Borrowed; they outlive the scheduler.
  Scheduler(const Environment& environment, const RuntimeOptions& options, AgentCatalog& catalog, std::shared_ptr<Publisher> publisher, ChildRuns& child_runs);

  enum class Need {
    kNothing,  // another run waits for it: those that do are bounded themselves
    kLittle,   // it ends work, or answers what a run that exists waits for: refused over SessionsMax only
    kRoom,     // it begins work: refused over running_max
  };

  // OK if one more run may be accepted; then Create or NotCreated follows. QueueFull, ServerDraining.
  absl::Status Admit();
  void NotCreated();
  // The same of a run that answers a call of another. Parents do not count as running while they wait, so children are bounded by all that is in memory;
  // refused, the call fails, and nobody waits for it. kNothing: an earlier attempt may have begun it, and nobody may say that it did not.
  absl::Status AdmitChild(Need need);
  // A run that is awaited by another is taken up before those that nobody waits for, if it has no session and does not sleep.
  void Hurry(const RunId& run);
  // Has the run made, `state` of its first own event, and takes it up. One that may begin at once begins, and runs ahead of its own creation: that and what it
  // does first are one commit, of which nothing leaves the process before.
  void Create(NewRun run, RunState state, std::shared_ptr<const RunPlan> plan, CreateDone done);

  // Finds unfinished runs in the store and takes them up, in the order of the queue. Blocks; call it on the blocking pool. What cannot be read now is tried
  // again.
  void Recover() { RecoverAfter(std::nullopt, 0); }

  // A command for a run, executed by its session; the session is made if there is none. `failed` is called instead, on some thread, where the run cannot
  // be loaded (NOT_FOUND, DATA_LOSS), has too many commands waiting, or the server drains; QueueFull where a session would have to be made for which there is
  // no room.
  using Failed = absl::AnyInvocable<void(absl::Status)>;
  void Send(const RunId& run, Session::Command command, Need need, Failed failed);

  // The store takes writes again: sessions that waited for it go on.
  void OnWritable();

  int32_t sessions();
  // Of attempts whose run had stopped when they came, so far.
  int64_t late_results() const { return late_results_; }
  // Whether the run has a session that has not published since its start that the run stopped or waits for a person. Whoever subscribed before asking hears
  // of it when it does.
  bool IsAtWork(const RunId& run);

  // From now on new runs and commands are refused, and nothing is started. Before anybody is told that the server drains, who would be let in else.
  void Close();
  // Starts nothing any more, parks every session, cuts off after `grace` what is still under way. Returns when no session is left.
  boost::asio::awaitable<void> Drain(absl::Duration grace);

  // SessionOwner.
  ChildRuns& child_runs() override { return child_runs_; }
  void OnAwaiting(const RunId& run, bool children) override;
  bool TryLeave(const RunId& run, const Leaving& leaving) override;
  bool TakePlace(const RunId& run, Worker worker) override;
  void OnEnded(const RunId& run) override;
  void OnLateResult(const RunId&) override { ++late_results_; }
  void OnProgress(const RunId& run) override;

 private:
  struct Mail {
    Session::Command command;
    Failed failed;
  };
  struct Entry {
    int32_t priority = 0;                          // as far as it is known
    absl::Time not_before = absl::InfinitePast();  // the same
    std::shared_ptr<Session> session;              // null while it is loaded
    std::vector<Mail> mail;                        // that came meanwhile
    int32_t undelivered = 0;                       // commands on their way to the session
    int32_t barren_starts = 0;                     // of a suspect, loaded as one, that has made no progress since; else 0
    bool awaits_children = false;                  // and nothing else: its place is theirs
    bool has_place = false;                        // to work
    bool is_promised = false;                      // of kPromisedMax
  };

  // A run that could not be read.
  struct Unread {
    RunId run;
    std::optional<Suspect> suspect;
    absl::Time promise;
  };
  // Of a run out of memory whose active time passes, or passed until it was to queue. Monotonic instants.
  struct ActiveTime {
    absl::Duration since;
    absl::Duration queues_since = absl::InfiniteDuration();
  };

  std::shared_ptr<Session> MakeSession(RunState state, std::shared_ptr<const RunPlan> plan, Session::Origin origin,
                                       std::optional<absl::Duration> active_since = std::nullopt, std::unique_ptr<Creation> creation = nullptr);
  // The store has been asked for the run, which has no session yet, and has `created` it or not.
  void Made(bool created, RunState state, std::shared_ptr<const RunPlan> plan);
  std::shared_ptr<Session> Begin(RunState state, std::shared_ptr<const RunPlan> plan, std::unique_ptr<Creation> creation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Deliver(const RunId& run, Session& session, Mail mail) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // `promise`: when it needs a session in any case, if that is earlier than what `sleepers_` says.
  Entry& BeginLoad(const RunId& run, absl::Time promise = absl::InfiniteFuture()) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Load(RunId run, absl::Time promise);  // on the blocking pool
  void Loaded(RunState state, std::shared_ptr<const RunPlan> plan);
  void LoadFailed(const RunId& run, absl::Status status, absl::Time promise);
  void RecoverAfter(std::optional<RunId> after, int64_t found);
  // Whether it sleeps on.
  bool Recovered(const UnfinishedRun& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What could not be loaded now is, after a pause.
  void TryAgainLater(const RunId& run, absl::Time promise) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes up those that sleep and are due; then waits for the next.
  void WakeDue() ABSL_LOCKS_EXCLUDED(mu_);
  void Wake(const RunId& run, const Sleeper& sleeper, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // One that waits for a place is woken then, too.
  void WakeAt(const RunId& run, absl::Time end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Queue(const RunId& run, const Entry& entry, const Leaving& leaving) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Sleep(const RunId& run, const Sleeper& sleeper) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetAlarm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes waiting runs up while there is room.
  void StartMore() ABSL_LOCKS_EXCLUDED(mu_);
  // The queue whose first run has its turn. Null: there is none, or no room for it.
  RunQueue* NextQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Sessions that callers may have made. Cancels and answers find room beyond running_max: they end what takes room, or what nothing else would end.
  int64_t SessionsMax() const { return int64_t{options_.running_max} + options_.queued_max; }
  // Room for a run that nobody waits for.
  bool MayBegin() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Nor does any wait for its turn.
  bool MayBeginNew() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // It has recorded what it was loaded for, or has left without.
  void KeepPromise(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void GivePlace(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // It is about to be erased.
  void Forget(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Who waits for the drain, if it is over.
  std::vector<std::shared_ptr<Completion<bool>>> TakeDrained() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndProbation(const RunId& run) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether it was its turn that ends.
  bool ReleaseSuspect(const RunId& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Environment& environment_;
  const RuntimeOptions& options_;
  AgentCatalog& catalog_;
  const std::shared_ptr<Publisher> publisher_;
  const std::shared_ptr<StagingRoom> room_;  // of all sessions
  ChildRuns& child_runs_;
  std::atomic<int64_t> late_results_ = 0;

  Mutex mu_;
  absl::flat_hash_map<RunId, Entry> entries_ ABSL_GUARDED_BY(mu_);  // looked up; walked to park only
  int64_t working_ ABSL_GUARDED_BY(mu_) = 0;                        // of those: they have a place and do not give it to others
  int64_t awaiting_ ABSL_GUARDED_BY(mu_) = 0;                       // of those: they only wait for runs that answer their calls
  RunQueue waiting_ ABSL_GUARDED_BY(mu_);                           // accepted, without a session, and have not begun
  // Found by a start, begun before it. They have their turn by the same order as those, ahead of one of the same moment, and also when no more may begin:
  // whoever has begun comes to its end.
  RunQueue begun_ ABSL_GUARDED_BY(mu_);
  // The same, of runs that others wait for or may wait for: these go first, so that no more parents begin to wait than children are at work, and also when no
  // more parents may.
  RunQueue awaited_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<RunId> queued_children_ ABSL_GUARDED_BY(mu_);  // of those: they have not begun. Looked up only
  // Runs to which something is promised for a moment that has come. They may be in another queue as well.
  RunQueue promised_ ABSL_GUARDED_BY(mu_);
  int32_t promises_ ABSL_GUARDED_BY(mu_) = 0;  // of entries
  Suspects suspects_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Timers::Wait> probation_ ABSL_GUARDED_BY(mu_);                 // of the suspect that has its turn
  int64_t creating_ ABSL_GUARDED_BY(mu_) = 0;                                    // admitted, without a session or a place in a queue
  int64_t making_ ABSL_GUARDED_BY(mu_) = 0;                                      // of those: with the store, which is to make them before they begin
  absl::Duration made_first_until_ ABSL_GUARDED_BY(mu_) = absl::ZeroDuration();  // monotonic: no run begins ahead of its creation
  int32_t loading_ ABSL_GUARDED_BY(mu_) = 0;
  int32_t alive_ ABSL_GUARDED_BY(mu_) = 0;  // sessions whose loop has not ended
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  Sleepers sleepers_ ABSL_GUARDED_BY(mu_);
  // Of runs that left memory while their active time passes (Leaving::active_since), until they are loaded again. Looked up only.
  absl::flat_hash_map<RunId, ActiveTime> active_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Timers::Wait> alarm_ ABSL_GUARDED_BY(mu_);  // of the sleepers
  absl::Time alarm_time_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  std::unique_ptr<Timers::Wait> recovery_ ABSL_GUARDED_BY(mu_);  // before unfinished runs are looked for again
  std::unique_ptr<Timers::Wait> reload_ ABSL_GUARDED_BY(mu_);    // of `unread_`
  std::vector<Unread> unread_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<Completion<bool>>> drained_ ABSL_GUARDED_BY(mu_);
};

}  // namespace agentruntime
