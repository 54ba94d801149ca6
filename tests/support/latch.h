// Holds coroutines until a test lets them go.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace agentruntime::testing {

// Shut until it is opened, and then open for good. Outlives the coroutines that wait. Thread-safe.
class Latch {
 public:
  void Open() { channel_.close(); }
  bool is_open() const { return !channel_.is_open(); }
  // Suspends the coroutine until it is open. False: it is shut still, the coroutine was cancelled.
  boost::asio::awaitable<bool> Opened() {
    if (!is_open()) co_await channel_.async_receive(boost::asio::as_tuple(boost::asio::use_awaitable));
    co_return is_open();
  }

 private:
  // Nothing is ever sent: what receives waits until it is closed.
  boost::asio::experimental::concurrent_channel<void(boost::system::error_code)> channel_{boost::asio::system_executor()};
};

}  // namespace agentruntime::testing
