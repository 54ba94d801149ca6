// The live object that executes one run: the small shell around the pure core. All but what says that it is thread-safe happens on its strand.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "proto/base/planted_bug.h"
#include "runtime/act.h"
#include "runtime/children.h"
#include "runtime/context.h"
#include "runtime/environment.h"
#include "runtime/fifo.h"
#include "runtime/gate.h"
#include "runtime/inbox.h"
#include "runtime/plan.h"
#include "runtime/result.h"
#include "runtime/staging_room.h"
#include "runtime/state.h"
#include "runtime/stop.h"
#include "runtime/strand.h"

namespace agentruntime {

class Session;

// A run that has work to do.
enum class Worker {
  kNew,    // it has not begun, and nobody waits for it
  kBegun,  // or it answers a call: another run may wait for it
};

// A run that the store has not been given yet.
struct Creation {
  NewRun run;
  CreateDone done;
};

// What the owner of a session that leaves is told of its run.
struct Leaving {
  std::optional<Worker> worker;    // it has no place to work, and queues for one
  std::optional<absl::Time> wake;  // to be looked at again; none: it has nothing to wait for
  bool stops = false;              // at `wake`, by its timeout
  bool has_begun = false;
  absl::Time promise = absl::InfiniteFuture();  // its deadline, or the first expiry of what a person is asked
  // Monotonic instant since which its active time passes, which goes on out of memory. None: its active time stands still.
  std::optional<absl::Duration> active_since;
};

// Who owns sessions. Called on the session's strand.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // The session has nothing to do for now. True: it is forgotten, and no mail will come. False: mail is on its way.
  virtual bool TryLeave(const RunId& run, const Leaving& leaving) = 0;
  // Whether the run may work: it has a place under running_max, or gets one now, which it keeps until it leaves. False: it is to leave and queue for one.
  virtual bool TakePlace(const RunId& run, Worker worker) = 0;
  // The session's loop has ended.
  virtual void OnEnded(const RunId& run) = 0;
  // The run made progress since it was taken up.
  virtual void OnProgress(const RunId& run) = 0;
  // A result came of an attempt that the run's stop had settled without it.
  virtual void OnLateResult(const RunId& run) = 0;
  // Whether the run waits for its children and for nothing else. Told at each change.
  virtual void OnAwaiting(const RunId& run, bool children) = 0;
  // Thread-safe; outlives the session.
  virtual ChildRuns& child_runs() = 0;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  // Where its state comes from.
  enum class Origin {
    kCreated,  // the run was accepted just now, or is about to be
    kLoaded,   // folded from the journal. Its run may be what ended the server: until it makes progress each step waits for the disk, so that the next
               // start can count this one
  };

  // `environment`, `owner` outlive the session. `state` is durable; all but its last event, where `creation` is given, which the session hands to the store
  // with what it records first. `active_since`: as the run's session before said when it left; the default is now.
  Session(const Environment& environment, const RuntimeOptions& options, RunState state, std::shared_ptr<const RunPlan> plan,
          std::shared_ptr<Publisher> publisher, std::shared_ptr<StagingRoom> room, SessionOwner& owner, Origin origin,
          std::optional<absl::Duration> active_since = std::nullopt, std::unique_ptr<Creation> creation = nullptr);

  const RunId& run() const { return run_; }
  // Whether it began with a run that had stopped or waited for a person, or has published that since. Thread-safe.
  bool settled() const { return gate_->settled(); }

  // Starts the loop. Once.
  void Start();

  // Whether it takes commands: a live run has to say first that this server has it. A session that parks before that never does. On the strand.
  bool is_parking() const { return parking_; }
  bool IsTakenUp() const { return !IsToBeTakenUp(state_, StoreEpochs()) || IsPlanted(Bug::kCommandBeforeStart); }
  // Looks at its run again. Thread-safe.
  void Nudge();

  // A command from outside, run on the strand between two steps of the loop. Thread-safe.
  using Command = absl::AnyInvocable<void(Session&)>;
  void Send(Command command);

  // Leave at the next journaled point: start nothing new, wait for attempts under way. Thread-safe.
  void Park();
  // Cut attempts under way off, recording nothing of them, and wait neither for them nor for the disk. Thread-safe. After Park.
  void Abandon();

  // For commands, on the strand:
  const RunState& state() const { return state_; }
  const RunPlan& plan() const { return *plan_; }
  // Applies facts, and appends them: together with what else is recorded before the session next waits for something. `artifacts`: those that they name for
  // the first time.
  void Record(std::vector<v1::Event> facts, std::vector<StagedArtifact> artifacts = {});
  // Calls `then(true)` once everything recorded so far is durable; `then(false)` if the run was lost.
  void WhenDurable(absl::AnyInvocable<void(bool)> then);
  // Those that wait for it.
  int32_t replies() const { return replies_; }
  // Aborts every attempt under way, asks children to cancel; their outcomes are still recorded.
  void AbortAttempts();
  const RuntimeOptions& options() const { return options_; }

 private:
  // One attempt under way. Removed when its coroutine has ended.
  struct Attempt {
    boost::asio::cancellation_signal signal;
    std::unique_ptr<Timers::Wait> timeout;
    bool timed_out = false;
    bool dropped = false;  // its outcome is not wanted any more
    bool child = false;    // another run answers: it is not cut off, that run is cancelled
  };
  struct AskedChild {
    RunId run;
    bool agreed = false;  // its cancel is durable, or it needs none
  };
  class Deltas;

  // What a turn of the loop leaves to do.
  enum class Turn {
    kAgain,
    kWait,  // until the inbox calls, or until the wake that it says
    kLeft,  // the owner has forgotten the session
  };

  // The loop, until it waits for something, which calls it again, or has ended.
  void Run();
  Turn TakeTurn(std::optional<absl::Duration>& wake);
  // Of a session that starts nothing any more: what is under way ends.
  Turn TakeLastTurn();
  // The mail that comes when the loop has ended.
  void TakeLast();
  void StartOnce(const Effect& effect);
  boost::asio::awaitable<void> RunModel(Effect effect, std::unique_ptr<ModelRequest> request, Sequence basis, bool local);
  boost::asio::awaitable<void> RunCall(Effect effect, ToolRequest request, std::shared_ptr<Tool> tool, bool local);
  // What became of an attempt, on its way into the inbox. Functions of their own, never inlined: a temporary in a coroutine takes room in every frame of
  // it that waits.
  [[gnu::noinline]] void EndModel(const Effect& effect, bool local, absl::Duration began, ModelOutcome&& outcome) noexcept;
  [[gnu::noinline]] void EndUnaskedModel(const Effect& effect, bool local, absl::Duration began);
  [[gnu::noinline]] void EndThrownModel(const Effect& effect, bool local, absl::Duration began, absl::string_view what);
  // What is too large for its event comes back, to be ended by EndLargeCall.
  [[gnu::noinline]] std::unique_ptr<CallEnd> EndCall(const Effect& effect, absl::Duration began, ToolOutcome&& outcome) noexcept;
  // A frame of its own, of the few that need it.
  boost::asio::awaitable<void> EndLargeCall(Effect effect, std::unique_ptr<CallEnd> end);
  void LimitTime(const Effect& effect, absl::Duration timeout);
  // Counts it if the run has stopped since the attempt began, once that is durable.
  void NoteLateResult(const Effect& effect);
  // Whether the attempt is open: under way, and not settled without its outcome.
  bool IsHeard(const Effect& effect) const;
  void OnModelEnded(const Effect& effect, ModelOutcome outcome, absl::Duration duration);
  void OnCallEnded(const Effect& effect, CallEnd end);
  void DropAttempts();
  void DropChildAttempts();
  // Asks the child to cancel, once everything recorded so far is durable. Once for each.
  void AskToCancel(const RunId& child);
  // Whether `facts` settle calls whose children may go on: these are asked to cancel, and the facts are to wait until all have agreed.
  bool MustAskChildren(const std::vector<v1::Event>& facts);
  bool IsAsked(const RunId& child) const;
  // Tells the owner whether the run awaits its children, where that has changed.
  void TellAwaiting();
  // Of an attempt: taken when the session is not ahead of the disk.
  void PushOutcome(Inbox::Item outcome);
  // Hands what was recorded to the store, as one item.
  void Flush(std::vector<StagedArtifact> artifacts = {});
  // Events that are not durable yet.
  int64_t ahead() const { return state_.last_sequence - gate_->durable(); }
  // Whether the session must wait for the disk before it records more by itself. Commands are taken all the same.
  bool MustWaitForDisk() const;
  // Looks again when everything recorded so far is durable.
  void WakeWhenDurable();
  Instant Now() const;
  // Whether a run for which nothing is under way is to leave memory until `next`.
  bool IsToLeave(const Next& next) const;
  Leaving LeavingUntil(std::optional<absl::Time> wake, Instant now) const;
  // Whether there is work among `facts` and no place to do it: then they are without it afterwards.
  bool LacksPlace(std::vector<v1::Event>& facts);
  Leaving LeavingForPlace() const;
  Worker WorkerOf() const;
  Epochs StoreEpochs() const { return {environment_.store->epoch(), environment_.store->restored_epoch()}; }

  const Environment& environment_;
  const RuntimeOptions& options_;
  const Strand strand_;
  const RunId run_;
  const std::shared_ptr<const RunPlan> plan_;
  SessionOwner& owner_;
  const std::shared_ptr<Gate> gate_;
  const std::shared_ptr<StagingRoom> room_;  // shared with what is on its way through it
  const Origin origin_;

  RunState state_;
  std::unique_ptr<Creation> creation_;  // null once the store has it
  ArtifactIndex artifacts_;             // by hash; of a loaded run only once it is needed
  bool artifacts_known_;
  std::vector<EventPtr> recorded_;                         // the newest events of `state_`, which the store has not been given yet
  MessageHistory messages_;                                // of `state_`, for the model
  absl::Duration active_since_;                            // monotonic time of the last event
  Inbox inbox_;                                            // commands, and calls to look again
  Fifo<Inbox::Item> outcomes_;                             // of attempts, in order
  std::map<Sequence, std::unique_ptr<Attempt>> attempts_;  // by the sequence of their intent
  std::vector<AskedChild> asked_;                          // children that were asked to cancel
  bool awaits_children_ = false;                           // as the owner was told
  bool has_place_ = false;                                 // as the owner said
  int32_t replies_ = 0;
  bool parking_ = false;
  bool abandoned_ = false;
  bool ending_ = false;
  bool progressed_ = false;
  bool waiting_for_disk_ = false;  // a wake is registered at the gate
};

}  // namespace agentruntime
