#include "runtime/hub.h"

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <map>
#include <utility>

#include "proto/base/planted_bug.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "runtime/journal_watch.h"

namespace agentruntime {

namespace asio = boost::asio;

std::vector<PublishedEvent> PublishedEvents(absl::Span<const EventPtr> events) {
  std::vector<EncodedResponse> encoded = EncodeEvents(events);
  std::vector<PublishedEvent> published;
  published.reserve(events.size());
  for (size_t i = 0; i < events.size(); ++i)
    published.push_back({events[i]->sequence(), events[i]->has_run_stopped(), std::move(encoded[i]), VoidsText(*events[i])});
  return published;
}

bool Mailbox::IsBehind(const std::shared_ptr<const v1::Run>& settled) {
  MutexLock lock(mu_);
  if (mail_.overflowed) mail_.settled = settled;
  return mail_.overflowed;
}

void Mailbox::DropDeltas(bool of_the_model_too) {
  const auto dropped = [&](const PublishedDelta& delta) { return of_the_model_too || !delta.is_text; };
  mail_.deltas.erase(std::remove_if(mail_.deltas.begin(), mail_.deltas.end(), dropped), mail_.deltas.end());
  delta_bytes_ = 0;
  for (const PublishedDelta& delta : mail_.deltas) delta_bytes_ += delta.encoded.size();
}

void Mailbox::Overflow() {
  mail_.overflowed = true;
  DropDeltas(/*of_the_model_too=*/true);
  std::vector<PublishedEvent>().swap(mail_.events);
}

bool Mailbox::HasRoom(const std::vector<PublishedEvent>& events, size_t bytes) const {
  if (IsPlanted(Bug::kUnboundedWatcher)) return true;
  if (mail_.events.size() + events.size() > static_cast<size_t>(kWatchBufferEventsMax)) return false;
  // One event is always held, however large it is.
  return (mail_.events.empty() && events.size() == 1) || event_bytes_ + bytes <= kWatchBufferBytesMax;
}

void Mailbox::Put(const std::vector<PublishedEvent>& events, const std::shared_ptr<const v1::Run>& settled) {
  size_t bytes = 0;
  for (const PublishedEvent& event : events) bytes += event.encoded.size();
  {
    MutexLock lock(mu_);
    mail_.settled = settled;
    // A tool's progress may be of a call that an event has ended. Text holds until an event says that it does not.
    DropDeltas(/*of_the_model_too=*/std::any_of(events.begin(), events.end(), [](const PublishedEvent& event) { return event.voids_text; }));
    if (!mail_.overflowed && !HasRoom(events, bytes)) Overflow();
    if (!mail_.overflowed) {
      mail_.events.insert(mail_.events.end(), events.begin(), events.end());
      event_bytes_ += bytes;
    }
  }
  Notify();
}

void Mailbox::PutSettled(std::shared_ptr<const v1::Run> settled) {
  {
    MutexLock lock(mu_);
    mail_.settles = true;
    mail_.settled = std::move(settled);
  }
  Notify();
}

void Mailbox::PutDelta(PublishedDelta delta) {
  {
    MutexLock lock(mu_);
    if (mail_.overflowed || mail_.deltas.size() >= static_cast<size_t>(kWatchBufferDeltasMax)) return;
    const size_t bytes = delta.encoded.size();
    if (delta_bytes_ + bytes > kWatchBufferBytesMax) return;
    delta_bytes_ += bytes;
    mail_.deltas.push_back(std::move(delta));
  }
  Notify();
}

void Mailbox::LookAgain() {
  {
    MutexLock lock(mu_);
    Overflow();
  }
  Notify();
}

void Mailbox::Drain() {
  {
    MutexLock lock(mu_);
    mail_.draining = true;
  }
  Notify();
}

void Mailbox::Close() {
  {
    MutexLock lock(mu_);
    mail_.closed = true;
  }
  Notify();
}

void Mailbox::Notify() {
  std::shared_ptr<Wake> waiting;
  {
    MutexLock lock(mu_);
    waiting = std::exchange(waiting_, nullptr);
  }
  if (waiting != nullptr) waiting->Complete(true);
}

// Draining and closing stay: every later look sees them too.
Mailbox::Mail Mailbox::Take() {
  MutexLock lock(mu_);
  Mail mail = std::move(mail_);
  mail_ = Mail();
  event_bytes_ = 0;
  delta_bytes_ = 0;
  mail_.draining = mail.draining;
  mail_.closed = mail.closed;
  return mail;
}

asio::awaitable<void> Mailbox::Await(Timers& timers, absl::Duration timeout, decltype(&Timers::After) timer) {
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  // A cancellation that came while the coroutine was at something else, such as a read, is not told again.
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return;
  auto wake = std::make_shared<Wake>();
  {
    MutexLock lock(mu_);
    if (!mail_.empty()) co_return;
    waiting_ = wake;
  }
  auto slot = cancellation.slot();
  if (slot.is_connected()) slot.assign([wake](asio::cancellation_type) { wake->Complete(false); });
  const auto end = (timers.*timer)(timeout, co_await asio::this_coro::executor, [wake] { wake->Complete(false); });
  co_await wake->Wait();
  if (slot.is_connected()) slot.clear();
}

Hub::Hub(Store& store, Timers& timers, std::shared_ptr<CallerReads> reads) : store_(store), timers_(timers), reads_(std::move(reads)) {}

std::vector<std::shared_ptr<Mailbox>> Hub::MailboxesOf(const RunId& run) {
  std::vector<std::shared_ptr<Mailbox>> found;
  MutexLock lock(mu_);
  const auto at = mailboxes_.find(run);
  if (at == mailboxes_.end()) return found;
  for (const auto& weak : at->second) {
    if (auto mailbox = weak.lock()) found.push_back(std::move(mailbox));
  }
  return found;
}

void Hub::Publish(const RunId& run, std::vector<EventPtr> events, std::shared_ptr<const v1::Run> settled) {
  const auto mailboxes = MailboxesOf(run);
  if (mailboxes.empty()) return;
  std::vector<PublishedEvent> published;  // encoded once, and only if somebody reads it
  for (const auto& mailbox : mailboxes) {
    if (mailbox->interest() == Mailbox::Interest::kSettled || mailbox->interest() == Mailbox::Interest::kSettledForRun) {
      if (events.back()->has_run_stopped() || settled != nullptr) mailbox->PutSettled(settled);
      continue;
    }
    if (mailbox->IsBehind(settled)) continue;
    if (published.empty()) published = PublishedEvents(events);
    mailbox->Put(published, settled);
  }
}

void Hub::PublishDelta(const RunId& run, v1::Delta delta) {
  PublishedDelta published{delta.after_sequence(), !delta.has_tool_progress(), {}};
  for (const auto& mailbox : MailboxesOf(run)) {
    if (mailbox->interest() != Mailbox::Interest::kEventsAndDeltas) continue;
    if (!published.encoded) published.encoded = EncodeDelta(delta);
    mailbox->PutDelta(published);
  }
}

void Hub::SetAside(const RunId& run, const absl::Status& why) {
  {
    MutexLock lock(mu_);
    set_aside_.insert_or_assign(run, CloneStatus(why));
  }
  Withdraw(run);
  for (const auto& mailbox : MailboxesOf(run)) mailbox->LookAgain();
}

void Hub::TakeBack(const RunId& run) {
  MutexLock lock(mu_);
  set_aside_.erase(run);
}

absl::Status Hub::WhySetAside(const RunId& run) {
  MutexLock lock(mu_);
  const auto at = set_aside_.find(run);
  return at == set_aside_.end() ? absl::OkStatus() : CloneStatus(at->second);
}

absl::StatusOr<std::shared_ptr<Mailbox>> Hub::Subscribe(const RunId& run, Mailbox::Interest interest) {
  const bool counted = interest != Mailbox::Interest::kSettledForRun;
  if (counted && watchers_.fetch_add(1) >= kWatchersMax) {
    --watchers_;
    return TooManyAtOnce("watchers", kWatchersMax);
  }
  auto self = shared_from_this();
  auto mailbox = std::shared_ptr<Mailbox>(new Mailbox(interest), [self, run, counted](Mailbox* gone) {
    delete gone;
    if (counted) --self->watchers_;
    self->Remove(run);
  });
  MutexLock lock(mu_);
  mailboxes_[run].push_back(mailbox);
  if (draining_ && counted) mailbox->Drain();
  return mailbox;
}

void Hub::Remove(const RunId& run) {
  MutexLock lock(mu_);
  const auto at = mailboxes_.find(run);
  if (at == mailboxes_.end()) return;
  auto& list = at->second;
  list.erase(std::remove_if(list.begin(), list.end(), [](const auto& weak) { return weak.expired(); }), list.end());
  if (list.empty()) mailboxes_.erase(at);
}

absl::StatusOr<std::unique_ptr<JournalWatch>> Hub::Follow(const RunId& run, Sequence after, bool include_deltas) {
  ASSIGN_OR_RETURN(auto mailbox, Subscribe(run, include_deltas ? Mailbox::Interest::kEventsAndDeltas : Mailbox::Interest::kEvents));
  return std::make_unique<JournalWatch>(shared_from_this(), std::move(mailbox), run, after);
}

void Hub::Drain() {
  std::map<RunId, std::vector<std::shared_ptr<Mailbox>>> all;  // by run, so that a seed repeats a drain: a hash map's order is another in each process
  {
    MutexLock lock(mu_);
    draining_ = true;
    for (const auto& [run, list] : mailboxes_) {
      for (const auto& weak : list) {
        if (auto mailbox = weak.lock()) all[run].push_back(std::move(mailbox));
      }
    }
  }
  for (const auto& [run, mailboxes] : all) {
    for (const auto& mailbox : mailboxes) {
      if (mailbox->interest() != Mailbox::Interest::kSettledForRun) mailbox->Drain();
    }
  }
}

}  // namespace agentruntime
