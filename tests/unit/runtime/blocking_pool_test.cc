#include "runtime/blocking_pool.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <future>

namespace agentruntime {
namespace {

namespace asio = boost::asio;

// Says that it began, and works until it is asked to stop.
asio::awaitable<bool> WorkUntilStopped(asio::any_io_executor pool, std::promise<void>& began) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_return co_await RunStoppable(pool, [&began](const std::stop_token& stop) {
    std::promise<void> stopped;
    const std::stop_callback wake(stop, [&stopped] { stopped.set_value(); });
    began.set_value();
    stopped.get_future().wait();
    return stop.stop_requested();
  });
}

TEST(BlockingPoolTest, ACancellationAsksTheWorkToStop) {
  asio::thread_pool pool(1);
  asio::thread_pool blocking(1);
  const auto strand = asio::make_strand(pool.get_executor());
  asio::cancellation_signal cancel;
  std::promise<void> began;
  std::promise<bool> ended;
  asio::co_spawn(strand, WorkUntilStopped(blocking.get_executor(), began),
                 asio::bind_cancellation_slot(cancel.slot(), [&ended](const std::exception_ptr&, bool stopped) { ended.set_value(stopped); }));
  began.get_future().wait();
  asio::post(strand, [&cancel] { cancel.emit(asio::cancellation_type::terminal); });
  EXPECT_TRUE(ended.get_future().get());
  blocking.join();
  pool.join();
}

}  // namespace
}  // namespace agentruntime
