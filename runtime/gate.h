// The output gate of one run: its session runs ahead of the disk, and whatever of it leaves the process waits here until everything before it is durable.
// The one object that owns this rule (external synchrony) for sessions. Replies to commands, non-local attempts, cancels of children, events and deltas to
// watchers, the session's lines of the log and its count of late results all pass here.
//
// What makes or removes a run is no session's to say: replies to CreateRun, RunAgent, ForkRun and DeleteRun, and the beginning of a child, wait for the store
// to say that it is durable (CreateDone, DeleteDone; submissions.cc, runtime.cc, child_runs.cc).
//
// Source of the idea: Nightingale et al., "Rethink the Sync" (OSDI 2006); cloudflare/workerd's output gates.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "runtime/fifo.h"
#include "runtime/strand.h"
#include "storage/store.h"

namespace agentruntime {

// What the model wrote between its call and this event is void, or said again by it.
bool VoidsText(const v1::Event& event);

// Takes what is durable and hands it on: watchers, logs, metrics. Thread-safe; must not block.
class Publisher {
 public:
  virtual ~Publisher() = default;
  // The run as of its last event, which is durable and stopped it or left it waiting. On the store's thread, before any later commit.
  virtual void Keep(const RunId& /*run*/, std::shared_ptr<const v1::Run> /*settled*/) {}
  // What was kept of it: more events of it are about to be handed to the store.
  virtual void Withdraw(const RunId& /*run*/) {}
  // Events of one run in order. `settled` is the run as of the last event, if that stopped it or left it waiting.
  virtual void Publish(const RunId& run, std::vector<EventPtr> events, std::shared_ptr<const v1::Run> settled) = 0;
  virtual void PublishDelta(const RunId& run, v1::Delta delta) = 0;
  // The run could not be loaded, since it or its agent is damaged, as `why` says (DATA_LOSS): no event of it follows, and whoever waits for one is told.
  virtual void SetAside(const RunId& run, const absl::Status& why) = 0;
  // It was loaded after all: what was taken for damage was a fault that has passed. Nothing, of a run that was not set aside.
  virtual void TakeBack(const RunId& run) = 0;
};

// Lives on the session's strand, except for the tickets, which the store completes on its own thread. Outlives the session while tickets are open.
class Gate : public std::enable_shared_from_this<Gate> {
 public:
  // `durable`: the last event that the store already has. `settled`: with it the run has stopped or waits.
  Gate(RunId run, Sequence durable, bool settled, Strand strand, std::shared_ptr<Publisher> publisher);

  // Events that were handed to the store just now; the ticket is what to complete the append with.
  AppendDone Add(std::vector<EventPtr> events, std::shared_ptr<const v1::Run> settled);
  // The same of the run's creation, its event `created`: not published, since nobody follows a run that is not there. Before any other; if the store refuses
  // it, there is no such run, and the gate loses it.
  CreateDone AddCreation(Sequence created);

  // Calls `then(true)` once everything up to `sequence` is durable, on the strand, perhaps at once; `then(false)` if the run was lost to another owner.
  void WhenDurable(Sequence sequence, absl::AnyInvocable<void(bool)> then);
  // The same for an attempt, a coroutine on the strand; also false once the gate is closed to attempts.
  boost::asio::awaitable<bool> Durable(Sequence sequence);
  // Lets no attempt out any more, those that wait included. What is durable is still published, and replies still wait.
  void CloseToAttempts();

  // A line of the log about the run, for its operator, once everything up to `basis` is durable; none if the run is lost.
  void Warn(Sequence basis, std::string what, std::string reason);

  // Held back until `after_sequence` is durable; dropped where more than kHeldDeltasMax are held: no delta is promised.
  void AddDelta(v1::Delta delta);

  bool lost() const { return lost_; }
  // Whether something that settles the run was durable at the beginning, or was published since; true before it is published. Thread-safe.
  bool settled() const { return was_settled_; }
  // Called once on the strand when the run is lost.
  void OnLost(absl::AnyInvocable<void()> then) { on_lost_ = std::move(then); }
  // The last event that is known to be durable here.
  Sequence durable() const { return durable_; }

 private:
  struct Waiter {
    Sequence sequence;
    absl::AnyInvocable<void(bool)> then;
    bool is_attempt = false;
  };

  void Complete(Sequence last, AppendResult result);                 // on the store's thread
  void Keep(Sequence last, std::shared_ptr<const v1::Run> settled);  // the same
  void Pass();                                                       // on the strand

  const RunId run_;
  const Strand strand_;
  const std::shared_ptr<Publisher> publisher_;

  // Written by the store's thread.
  std::atomic<Sequence> completed_;
  std::atomic<bool> failed_ = false;
  std::atomic<bool> passing_ = false;  // a Pass is posted
  std::atomic<bool> was_settled_;
  std::atomic<Sequence> handed_on_;  // to the store; written on the strand

  bool may_be_kept_;  // something of the run may be with the publisher

  Sequence durable_;
  bool lost_ = false;
  bool closed_to_attempts_ = false;
  Fifo<EventPtr> events_;
  std::shared_ptr<const v1::Run> settled_;
  Fifo<v1::Delta> deltas_;
  std::vector<Waiter> waiters_;
  absl::AnyInvocable<void()> on_lost_;
};

}  // namespace agentruntime
