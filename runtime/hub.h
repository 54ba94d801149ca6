// Durable events on their way to whoever follows a run.
//
// A watcher subscribes first, then reads the journal from its cursor, then goes on with what was published meanwhile: it needs no agreement with the
// session about where live begins. A watcher that does not read holds a bounded buffer; when that is full it is dropped whole, and the watcher reads the
// journal again. So slowness harms the slow one only.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "proto/base/mutex.h"
#include "runtime/completion.h"
#include "runtime/gate.h"
#include "runtime/settled_runs.h"
#include "runtime/timers.h"
#include "runtime/watch.h"
#include "storage/store.h"

namespace agentruntime {

class CallerReads;
class JournalWatch;

// An event as it goes to watchers. Encoded by the first watcher's publish, shared by all.
struct PublishedEvent {
  Sequence sequence = 0;
  bool is_stop = false;
  EncodedResponse encoded;
  bool voids_text = false;  // of the model, before it
};

std::vector<PublishedEvent> PublishedEvents(absl::Span<const EventPtr> events);

struct PublishedDelta {
  Sequence after = 0;    // the event it follows
  bool is_text = false;  // of the model: void once an event after `after` was seen that voids text
  EncodedResponse encoded;
};

// What a mailbox holds for a follower that does not read, beside kWatchBufferEventsMax; one event at least. Events are of up to a megabyte.
inline constexpr size_t kWatchBufferBytesMax = 128 << 10;

// The mailbox of one follower. Thread-safe.
class Mailbox {
 public:
  // What its owner wants to hear of.
  enum class Interest {
    kSettled,
    kSettledForRun,  // the same, of a run that awaits this one: it is not counted, and does not hear of a drain
    kEvents,
    kEventsAndDeltas
  };

  explicit Mailbox(Interest interest) : interest_(interest) {}

  struct Mail {
    std::vector<PublishedEvent> events;
    std::vector<PublishedDelta> deltas;  // that the events have not outdated
    bool overflowed = false;             // events were dropped: read the journal
    bool settles = false;                // the first two only: the run stopped or waits
    bool draining = false;
    bool closed = false;
    std::shared_ptr<const v1::Run> settled;  // the run as of the last event, if that settled it and it is known
    bool empty() const { return events.empty() && deltas.empty() && !overflowed && !settles && !draining && !closed; }
  };

  Interest interest() const { return interest_; }
  void Put(const std::vector<PublishedEvent>& events, const std::shared_ptr<const v1::Run>& settled);
  // Whether it has overflowed and nobody has looked since: then the mail says so, with `settled`, and a Put would add nothing.
  bool IsBehind(const std::shared_ptr<const v1::Run>& settled) ABSL_LOCKS_EXCLUDED(mu_);
  void PutSettled(std::shared_ptr<const v1::Run> settled);
  void PutDelta(PublishedDelta delta);
  // As if it had overflowed: whoever waits reads the journal.
  void LookAgain();
  void Drain();
  void Close();
  // Until there is something, or `timeout` is over, as `timer` counts it. Ends early, perhaps with nothing, when the coroutine is cancelled; at once if it was.
  boost::asio::awaitable<void> Await(Timers& timers, absl::Duration timeout, decltype(&Timers::After) timer = &Timers::After) ABSL_LOCKS_EXCLUDED(mu_);
  // Everything there is, or nothing. Apart from the wait: thousands wait, and none of them needs room for mail meanwhile.
  Mail Take() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Wake = Completion<bool>;
  void Notify() ABSL_LOCKS_EXCLUDED(mu_);

  // What tools said, or everything.
  void DropDeltas(bool of_the_model_too) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Overflow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasRoom(const std::vector<PublishedEvent>& events, size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Interest interest_;
  Mutex mu_;
  Mail mail_ ABSL_GUARDED_BY(mu_);
  size_t event_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // of the mail
  size_t delta_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // the same
  std::shared_ptr<Wake> waiting_ ABSL_GUARDED_BY(mu_);
};

class Hub final : public Publisher, public std::enable_shared_from_this<Hub> {
 public:
  // `store` and `timers` are borrowed; they outlive the hub. `reads` bounds what watches read.
  Hub(Store& store, Timers& timers, std::shared_ptr<CallerReads> reads);

  void Keep(const RunId& run, std::shared_ptr<const v1::Run> settled) override { settled_runs_.Keep(run, std::move(settled)); }
  void Withdraw(const RunId& run) override { settled_runs_.Drop(run); }
  void Publish(const RunId& run, std::vector<EventPtr> events, std::shared_ptr<const v1::Run> settled) override;
  void PublishDelta(const RunId& run, v1::Delta delta) override;
  void SetAside(const RunId& run, const absl::Status& why) override ABSL_LOCKS_EXCLUDED(mu_);
  // Also of one that was deleted.
  void TakeBack(const RunId& run) override ABSL_LOCKS_EXCLUDED(mu_);

  // What a watch or a wait that finds nothing more of the run ends with: why it was set aside; OK: it was not. Whoever subscribed before asking is woken when
  // it is.
  absl::Status WhySetAside(const RunId& run) ABSL_LOCKS_EXCLUDED(mu_);

  // Around each deletion of a run.
  void BeginDelete(const RunId& run) { settled_runs_.BeginDelete(run); }
  void EndDelete(const RunId& run) { settled_runs_.EndDelete(run); }

  // The run, if it stopped or came to wait for a person a short time ago, and is so still: no need to read it. Null: the store knows.
  std::shared_ptr<const v1::Run> FindSettled(const RunId& run) { return settled_runs_.Find(run); }

  // A mailbox that gets what is published from now on; unsubscribed when the last reference goes. TooManyAtOnce over kWatchersMax, never for a run that awaits
  // another.
  absl::StatusOr<std::shared_ptr<Mailbox>> Subscribe(const RunId& run, Mailbox::Interest interest);

  // Follows `run` from `after`. As Subscribe.
  absl::StatusOr<std::unique_ptr<JournalWatch>> Follow(const RunId& run, Sequence after, bool include_deltas);

  // Ends every watch with ServerDraining, later ones too.
  void Drain();
  int32_t watchers() const { return watchers_; }

 private:
  friend class JournalWatch;

  void Remove(const RunId& run);
  std::vector<std::shared_ptr<Mailbox>> MailboxesOf(const RunId& run) ABSL_LOCKS_EXCLUDED(mu_);

  Store& store_;
  Timers& timers_;
  const std::shared_ptr<CallerReads> reads_;
  std::atomic<int32_t> watchers_ = 0;
  SettledRuns settled_runs_;

  Mutex mu_;
  absl::flat_hash_map<RunId, std::vector<std::weak_ptr<Mailbox>>> mailboxes_ ABSL_GUARDED_BY(mu_);  // looked up only, never walked but to drain
  absl::flat_hash_map<RunId, absl::Status> set_aside_ ABSL_GUARDED_BY(mu_);                         // as many as this store has of damaged ones. Looked up only
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace agentruntime
