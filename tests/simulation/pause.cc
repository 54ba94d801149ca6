#include "tests/simulation/pause.h"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <memory>

#include "runtime/completion.h"

namespace agentruntime::simulation {

namespace asio = boost::asio;

asio::awaitable<void> Pause(Loop& loop, absl::Duration delay, bool deaf) {
  if (!deaf) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() == asio::cancellation_type::none) co_await loop.Sleep(delay);
    co_return;
  }
  auto over = std::make_shared<Completion<bool>>();
  const auto wait = loop.After(delay, co_await asio::this_coro::executor, [over] { over->Complete(true); });
  co_await over->Wait();
}

}  // namespace agentruntime::simulation
