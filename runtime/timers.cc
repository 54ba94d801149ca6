#include "runtime/timers.h"

#include <atomic>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace agentruntime {

namespace asio = boost::asio;

namespace {

// The timer outlives the wait until its handler ran; the handler asks whether the wait still stands.
class SystemWait final : public Timers::Wait {
 public:
  SystemWait(absl::Duration delay, const asio::any_io_executor& executor, absl::AnyInvocable<void()> then)
      : state_(std::make_shared<State>(executor, std::move(then))) {
    state_->timer.expires_after(absl::ToChronoNanoseconds(delay));
    state_->timer.async_wait([state = state_](boost::system::error_code) {
      if (!state->dropped) state->then();
      state->then = nullptr;
    });
  }
  ~SystemWait() override {
    state_->dropped = true;
    state_->timer.cancel();
  }

 private:
  struct State {
    State(const asio::any_io_executor& executor, absl::AnyInvocable<void()> then) : timer(executor), then(std::move(then)) {}
    asio::steady_timer timer;
    absl::AnyInvocable<void()> then;
    std::atomic<bool> dropped = false;  // an executor of many threads may drop the wait while the timer fires
  };
  std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<Timers::Wait> SystemTimers::After(absl::Duration delay, asio::any_io_executor executor, absl::AnyInvocable<void()> then) {
  return std::make_unique<SystemWait>(delay, executor, std::move(then));
}

asio::awaitable<void> Timers::Sleep(absl::Duration delay) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  // Both ends of the race, the timer and the cancellation, run on the coroutine's executor.
  struct Sleeper {
    std::unique_ptr<Wait> wait;
    absl::AnyInvocable<void()> wake;
  };
  auto sleeper = std::make_shared<Sleeper>();
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [&](auto handler) {
        const auto slot = asio::get_associated_cancellation_slot(handler);
        sleeper->wake = [shared = std::make_shared<decltype(handler)>(std::move(handler))]() mutable { std::move (*shared)(); };
        sleeper->wait = After(delay, executor, [sleeper] {
          if (auto wake = std::exchange(sleeper->wake, nullptr)) wake();
        });
        if (slot.is_connected()) {
          auto connected = slot;
          connected.assign([sleeper](asio::cancellation_type) {
            sleeper->wait.reset();
            if (auto wake = std::exchange(sleeper->wake, nullptr)) wake();
          });
        }
      },
      asio::use_awaitable);
  sleeper->wait.reset();
}

}  // namespace agentruntime
