#include "runtime/inbox.h"

#include <boost/asio/post.hpp>

namespace agentruntime {

void Inbox::Push(Item item) {
  items_.push_back(std::move(item));
  Wake();
}

void Inbox::Wake() {
  called_ = true;
  Look();
}

void Inbox::Await(std::optional<absl::Duration> wake, absl::AnyInvocable<void()> look) {
  look_ = std::move(look);
  if (wake) timer_ = timers_.After(*wake, strand_, [this] { Look(); });
}

void Inbox::Look() {
  if (look_ == nullptr) return;
  timer_.reset();
  // What comes before it is its turn is seen by the same look. `look` keeps what this inbox is part of.
  boost::asio::post(strand_, [this, look = std::exchange(look_, nullptr)]() mutable {
    called_ = false;
    look();
  });
}

void Inbox::TakeOne() {
  if (items_.empty()) return;
  Item item = std::move(items_.front());
  items_.pop_front();
  item();
}

}  // namespace agentruntime
