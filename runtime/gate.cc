#include "runtime/gate.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "proto/base/log.h"
#include "proto/base/planted_bug.h"
#include "proto/util/names.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

constexpr size_t kHeldDeltasMax = 64;

}  // namespace

bool VoidsText(const v1::Event& event) { return event.has_decision_made() || event.has_model_failed() || event.has_run_started() || event.has_run_stopped(); }

Gate::Gate(RunId run, Sequence durable, bool settled, Strand strand, std::shared_ptr<Publisher> publisher)
    : run_(run),
      strand_(std::move(strand)),
      publisher_(std::move(publisher)),
      completed_(durable),
      was_settled_(settled),
      handed_on_(durable),
      may_be_kept_(settled),
      durable_(durable) {}

AppendDone Gate::Add(std::vector<EventPtr> events, std::shared_ptr<const v1::Run> settled) {
  const Sequence last = events.back()->sequence();
  if (IsPlanted(Bug::kPublishBeforeDurable)) publisher_->Publish(run_, events, nullptr);
  for (EventPtr& event : events) events_.push_back(std::move(event));
  // What was kept goes before the store has more, so that nobody who reads that is told the old afterwards.
  handed_on_ = last;
  if (may_be_kept_) publisher_->Withdraw(run_);
  may_be_kept_ |= settled != nullptr;
  if (settled != nullptr) settled_ = settled;
  return [self = shared_from_this(), last, settled = std::move(settled)](AppendResult result) mutable {
    if (settled != nullptr && result == AppendResult::kDurable) self->Keep(last, std::move(settled));
    self->Complete(last, result);
  };
}

// What follows in the same commit was handed on before that. What is handed on from here on is committed by this thread, behind this: so it is looked for
// again.
void Gate::Keep(Sequence last, std::shared_ptr<const v1::Run> settled) {
  if (handed_on_ != last) return;
  publisher_->Keep(run_, std::move(settled));
  if (handed_on_ != last) publisher_->Withdraw(run_);
}

CreateDone Gate::AddCreation(Sequence created) {
  return [self = shared_from_this(), created](CreateOutcome outcome) {
    self->Complete(created, outcome.kind == CreateOutcome::Kind::kCreated ? AppendResult::kDurable : AppendResult::kLost);
  };
}

// One Pass serves all tickets that complete before it runs: a batch of the store costs one post a run, not one an event.
void Gate::Complete(Sequence last, AppendResult result) {
  if (result == AppendResult::kLost) {
    failed_ = true;
  } else {
    completed_ = last;
  }
  if (!passing_.exchange(true)) asio::post(strand_, [self = shared_from_this()] { self->Pass(); });
}

void Gate::Pass() {
  passing_ = false;  // before reading: what completes from here on posts again
  durable_ = completed_;
  std::vector<EventPtr> out;
  while (!events_.empty() && events_.front()->sequence() <= durable_) {
    out.push_back(std::move(events_.front()));
    events_.pop_front();
  }
  Sequence text_void_before = 0;
  for (const EventPtr& event : out) {
    if (VoidsText(*event)) text_void_before = event->sequence();
    if (event->has_run_stopped() || event->has_call_waiting()) was_settled_ = true;
  }
  if (!out.empty()) {
    // The snapshot may already be of a later event.
    const bool fits = settled_ != nullptr && settled_->last_sequence() == out.back()->sequence();
    if (fits) was_settled_ = true;  // it may wait for what was asked before this session, and settle now that nothing else is under way
    publisher_->Publish(run_, std::move(out), fits ? std::exchange(settled_, nullptr) : nullptr);
  }
  while (!deltas_.empty() && deltas_.front().after_sequence() <= durable_) {
    const bool is_void = !deltas_.front().has_tool_progress() && deltas_.front().after_sequence() < text_void_before;
    if (!is_void) publisher_->PublishDelta(run_, std::move(deltas_.front()));
    deltas_.pop_front();
  }
  const bool newly_lost = failed_ && !lost_;
  lost_ = failed_;
  std::vector<Waiter> waiters;
  waiters.swap(waiters_);
  for (Waiter& waiter : waiters) {
    if (waiter.sequence <= durable_) {
      waiter.then(true);
    } else if (lost_) {
      waiter.then(false);
    } else {
      waiters_.push_back(std::move(waiter));
    }
  }
  if (newly_lost && on_lost_) std::exchange(on_lost_, nullptr)();
}

void Gate::WhenDurable(Sequence sequence, absl::AnyInvocable<void(bool)> then) {
  if (sequence <= durable_) return then(true);
  if (lost_) return then(false);
  waiters_.push_back({sequence, std::move(then)});
}

void Gate::Warn(Sequence basis, std::string what, std::string reason) {
  WhenDurable(basis, [run = run_, what = std::move(what), reason = std::move(reason)](bool durable) {
    if (durable) Log(LogLevel::kWarn, what, {{"run", RunName(run)}, {"reason", reason}});
  });
}

void Gate::CloseToAttempts() {
  closed_to_attempts_ = true;
  std::vector<Waiter> waiters;
  waiters.swap(waiters_);
  for (Waiter& waiter : waiters) {
    if (waiter.is_attempt) {
      waiter.then(false);
    } else {
      waiters_.push_back(std::move(waiter));
    }
  }
}

asio::awaitable<bool> Gate::Durable(Sequence sequence) {
  if (closed_to_attempts_ || lost_) co_return false;
  if (sequence <= durable_ || IsPlanted(Bug::kCallBeforeDurable)) co_return true;
  const auto self = shared_from_this();
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(bool)>(
      [self, sequence](auto handler) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        auto then = [strand = self->strand_, shared = std::move(shared)](bool durable) mutable {
          asio::post(strand, [shared = std::move(shared), durable]() mutable { std::move (*shared)(durable); });
        };
        self->waiters_.push_back({sequence, std::move(then), /*is_attempt=*/true});
      },
      asio::use_awaitable);
}

void Gate::AddDelta(v1::Delta delta) {
  if (lost_) return;
  if (delta.after_sequence() <= durable_) return publisher_->PublishDelta(run_, std::move(delta));
  if (deltas_.size() < kHeldDeltasMax) deltas_.push_back(std::move(delta));
}

}  // namespace agentruntime
