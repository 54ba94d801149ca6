#include "server/signals.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <thread>
#include <utility>

#include "proto/base/log.h"

namespace agentruntime {
namespace {

constexpr int kExitBySignal = 128;

}  // namespace

struct Signals::Impl {
  explicit Impl(std::function<void(int)> first) : on_first(std::move(first)), signals(context, SIGTERM, SIGINT) {
    signals.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      on_first(signal);
      signals.async_wait([](const boost::system::error_code& again, int second) {
        if (again) return;
        FlushLog();
        _exit(kExitBySignal + second);
      });
    });
    thread = std::thread([this] { context.run(); });
  }
  ~Impl() {
    context.stop();
    thread.join();
  }

  const std::function<void(int)> on_first;
  boost::asio::io_context context{1};
  boost::asio::signal_set signals;
  std::thread thread;
};

Signals::Signals(std::function<void(int)> on_first) : impl_(std::make_unique<Impl>(std::move(on_first))) {}
Signals::~Signals() = default;

}  // namespace agentruntime
