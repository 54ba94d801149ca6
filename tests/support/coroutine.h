// Runs one coroutine from a test: on a thread of its own, with a signal to cancel it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace agentruntime::testing {

// Starts `make()` at once; Get waits for its end. Executors outlive whoever posts to them, and a client's network thread may still be on its way out of the
// post that ended the coroutine: contexts are kept until the process ends.
template <typename T>
class Running {
 public:
  explicit Running(std::function<boost::asio::awaitable<T>()> make) {
    boost::asio::co_spawn(*context_, Root(std::move(make)),
                          boost::asio::bind_cancellation_slot(signal_.slot(), [this](std::exception_ptr error, std::optional<T> value) {
                            error_ = error;
                            value_ = std::move(value);
                          }));
    thread_ = std::thread([this] { context_->run(); });
  }
  ~Running() {
    if (thread_.joinable()) thread_.join();
  }
  // On the coroutine's executor, as the runtime does it.
  void Cancel() {
    boost::asio::post(*context_, [this] { signal_.emit(boost::asio::cancellation_type::terminal); });
  }
  T Get() {
    thread_.join();
    if (error_) std::rethrow_exception(error_);
    return *std::move(value_);
  }

 private:
  static boost::asio::awaitable<std::optional<T>> Root(std::function<boost::asio::awaitable<T>()> make) {
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    co_return co_await make();
  }

  static std::shared_ptr<boost::asio::io_context> NewContext() {
    static std::mutex& mutex = *new std::mutex;
    static auto& all = *new std::vector<std::shared_ptr<boost::asio::io_context>>;
    const std::lock_guard<std::mutex> lock(mutex);
    return all.emplace_back(std::make_shared<boost::asio::io_context>(1));
  }

  const std::shared_ptr<boost::asio::io_context> context_ = NewContext();
  boost::asio::cancellation_signal signal_;
  std::exception_ptr error_;
  std::optional<T> value_;
  std::thread thread_;
};

template <typename T>
T RunCoroutine(std::function<boost::asio::awaitable<T>()> make) {
  return Running<T>(std::move(make)).Get();
}

}  // namespace agentruntime::testing
