#include "runtime/inbox.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace agentruntime {

namespace asio = boost::asio;

void Inbox::Push(Item item) {
  items_.push_back(std::move(item));
  Wake();
}

void Inbox::Wake() {
  woken_ = true;
  if (auto resume = std::exchange(resume_, nullptr)) resume();
}

asio::awaitable<void> Inbox::Ready(std::optional<absl::Duration> wake) {
  if (std::exchange(woken_, false)) co_return;
  std::unique_ptr<Timers::Wait> timer;
  if (wake) {
    timer = timers_.After(*wake, strand_, [this] {
      if (auto resume = std::exchange(resume_, nullptr)) resume();
    });
  }
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [this](auto handler) {
        resume_ = [this, shared = std::make_shared<decltype(handler)>(std::move(handler))]() mutable {
          asio::post(strand_, [shared = std::move(shared)]() mutable { std::move (*shared)(); });
        };
      },
      asio::use_awaitable);
  woken_ = false;
}

void Inbox::TakeOne() {
  if (items_.empty()) return;
  Item item = std::move(items_.front());
  items_.pop_front();
  item();
}

}  // namespace agentruntime
