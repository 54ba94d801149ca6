// Threads for work that blocks: reading the store, reading files. Sessions wait for it without holding a thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace agentruntime {

// Runs `work(token)` on `pool` and continues on the coroutine's own executor with what it returned. Whoever waits, waits for its end; a cancellation of
// the coroutine asks the work to stop, by its token. `work` must not throw.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work, std::stop_token>> RunStoppable(boost::asio::any_io_executor pool, Work work) {
  using Result = std::invoke_result_t<Work, std::stop_token>;
  const auto home = co_await boost::asio::this_coro::executor;
  // The result travels by shared_ptr: a Status inside it is moved, never copied.
  std::shared_ptr<Result> result = co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void(std::shared_ptr<Result>)>(
      [pool, home](auto handler, Work body) {
        std::stop_source stop;
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) slot.assign([stop](boost::asio::cancellation_type) mutable { stop.request_stop(); });
        boost::asio::post(pool, [home, stop = std::move(stop), body = std::move(body), handler = std::move(handler)]() mutable {
          auto made = std::make_shared<Result>(body(stop.get_token()));
          boost::asio::post(home, [made = std::move(made), handler = std::move(handler)]() mutable { std::move(handler)(std::move(made)); });
        });
      },
      boost::asio::use_awaitable, std::move(work));
  co_return std::move(*result);
}

// The same for `work()` that is short.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work>> RunBlocking(boost::asio::any_io_executor pool, Work work) {
  return RunStoppable(std::move(pool), [work = std::move(work)](const std::stop_token&) mutable { return work(); });
}

}  // namespace agentruntime
