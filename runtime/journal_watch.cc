#include "runtime/journal_watch.h"

#include <utility>
#include <vector>

#include "proto/base/planted_bug.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "runtime/caller_reads.h"
#include "runtime/load.h"

namespace agentruntime {

namespace asio = boost::asio;

JournalWatch::JournalWatch(std::shared_ptr<Hub> hub, std::shared_ptr<Mailbox> mailbox, RunId run, Sequence after)
    : hub_(std::move(hub)), mailbox_(std::move(mailbox)), run_(run), cursor_(after) {
  if (IsPlanted(Bug::kRepeatEvent) && cursor_ > 0) --cursor_;
}

void JournalWatch::BeginWith(v1::Run run, const v1::Event& created) {
  out_.push_back(EncodeRun(run));
  Deliver({created.sequence(), /*is_stop=*/false, EncodeEvent(created)});
  phase_ = Phase::kLive;
  Mark(std::move(run));
  out_.push_back(bookmark_);
}

asio::awaitable<absl::StatusOr<EncodedResponse>> JournalWatch::Next() {
  while (out_.empty()) {
    absl::Status status;
    switch (phase_) {
      case Phase::kBegin: status = co_await Begin(); break;
      case Phase::kReading: status = co_await Read(); break;
      case Phase::kLive: status = co_await Listen(); break;
      case Phase::kLast: status = co_await End(); break;
      case Phase::kEnded: co_return EncodedResponse();
    }
    if (!status.ok()) co_return status;
  }
  EncodedResponse next = std::move(out_.front());
  out_.pop_front();
  co_return next;
}

asio::awaitable<absl::StatusOr<v1::Run>> JournalWatch::Load() {
  co_return co_await hub_->reads_->Read(
      CallerReads::Kind::kWatcher, [&store = hub_->store_, run = run_](const std::stop_token&) { return LoadRun(store, run); }, closed_.get_token());
}

void JournalWatch::Mark(v1::Run run) {
  run.clear_input();
  run.clear_limits();
  marked_ = run.last_sequence();
  bookmark_ = EncodeRun(run);
}

asio::awaitable<absl::Status> JournalWatch::Begin() {
  CO_ASSIGN_OR_RETURN(v1::Run run, co_await Load());
  if (cursor_ > run.last_sequence()) co_return SequenceBeyondEnd(run_, cursor_, run.last_sequence());
  out_.push_back(EncodeRun(run));
  stopped_ = cursor_ == run.last_sequence() && run.state() == v1::RUN_STATE_STOPPED;
  phase_ = Phase::kReading;
  Mark(std::move(run));
  co_return absl::OkStatus();
}

// One page; at the end of the journal what came by mail meanwhile goes on from the cursor.
asio::awaitable<absl::Status> JournalWatch::Read() {
  const auto page = [&store = hub_->store_, run = run_, after = cursor_](const std::stop_token&) {
    return store.ReadEvents(run, after, ReadLimit{.events_max = kWatchBufferEventsMax, .bytes_max = kWatchPageBytesMax});
  };
  CO_ASSIGN_OR_RETURN(const std::vector<EventPtr> events, co_await hub_->reads_->Read(CallerReads::Kind::kWatcher, page, closed_.get_token()));
  for (const PublishedEvent& event : PublishedEvents(events)) Deliver(event);
  if (!events.empty()) co_return absl::OkStatus();
  if (stopped_) {
    phase_ = Phase::kLast;
    co_return absl::OkStatus();
  }
  CO_ASSIGN_OR_RETURN(const bool caught_up, co_await MarkAtCursor());
  if (!caught_up) co_return absl::OkStatus();  // there is more to read
  CO_RETURN_IF_ERROR(hub_->WhySetAside(run_));
  phase_ = Phase::kLive;
  out_.push_back(bookmark_);
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<bool>> JournalWatch::MarkAtCursor() {
  if (marked_ != cursor_) {
    CO_ASSIGN_OR_RETURN(v1::Run run, co_await Load());
    Mark(std::move(run));
  }
  co_return marked_ == cursor_;
}

void JournalWatch::Deliver(const PublishedEvent& event) {
  cursor_ = event.sequence;
  stopped_ = event.is_stop;
  if (event.voids_text) text_void_before_ = event.sequence;
  out_.push_back(event.encoded);
}

asio::awaitable<absl::Status> JournalWatch::Listen() {
  co_await mailbox_->Await(hub_->timers_, kWatchIdleInterval, &Timers::AfterRoughly);
  CO_RETURN_IF_ERROR(Hear(mailbox_->Take()));
  if (phase_ == Phase::kLive && out_.empty()) {  // idle: the bookmark shows that the stream lives
    CO_ASSIGN_OR_RETURN(const bool caught_up, co_await MarkAtCursor());
    if (caught_up) {
      out_.push_back(bookmark_);
    } else {
      phase_ = Phase::kReading;
    }
  }
  co_return absl::OkStatus();
}

absl::Status JournalWatch::Hear(Mailbox::Mail mail) {
  if (mail.closed) return absl::CancelledError("the watch was closed");
  for (const PublishedEvent& event : mail.events) {
    if (event.sequence <= cursor_) continue;  // read from the journal before
    if (event.sequence != cursor_ + 1) {
      mail.overflowed = true;
      break;
    }
    Deliver(event);
  }
  if (mail.overflowed) {
    phase_ = Phase::kReading;
    return absl::OkStatus();
  }
  if (stopped_) {
    if (mail.settled != nullptr && mail.settled->last_sequence() == cursor_) Mark(*mail.settled);
    phase_ = Phase::kLast;
    return absl::OkStatus();
  }
  for (PublishedDelta& delta : mail.deltas) {
    if (delta.is_text && delta.after < text_void_before_) continue;  // an event that the journal told first ended its attempt
    out_.push_back(std::move(delta.encoded));
  }
  if (mail.draining && out_.empty()) return ServerDraining(cursor_);
  return absl::OkStatus();
}

asio::awaitable<absl::Status> JournalWatch::End() {
  CO_ASSIGN_OR_RETURN(const bool caught_up, co_await MarkAtCursor());
  if (!caught_up) {  // resumed meanwhile
    phase_ = Phase::kReading;
    co_return absl::OkStatus();
  }
  out_.push_back(bookmark_);
  phase_ = Phase::kEnded;
  co_return absl::OkStatus();
}

}  // namespace agentruntime
