// Threads for work that blocks: reading the store, reading files. Sessions wait for it without holding a thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <type_traits>
#include <utility>

namespace agentruntime {

// Runs `work()` on `pool` and continues on the coroutine's own executor with what it returned. Cannot be cancelled: whoever waits, waits for its end.
// `work` must not throw.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work>> RunBlocking(boost::asio::any_io_executor pool, Work work) {
  using Result = std::invoke_result_t<Work>;
  const auto home = co_await boost::asio::this_coro::executor;
  // The result travels by shared_ptr: a Status inside it is moved, never copied.
  std::shared_ptr<Result> result = co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void(std::shared_ptr<Result>)>(
      [pool, home](auto handler, Work body) {
        boost::asio::post(pool, [home, body = std::move(body), handler = std::move(handler)]() mutable {
          auto made = std::make_shared<Result>(body());
          boost::asio::post(home, [made = std::move(made), handler = std::move(handler)]() mutable { std::move(handler)(std::move(made)); });
        });
      },
      boost::asio::use_awaitable, std::move(work));
  co_return std::move(*result);
}

}  // namespace agentruntime
