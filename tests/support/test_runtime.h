// A whole runtime in one process: a real SQLite store in a folder of the test, two pool threads, models and tools that the test decides.
#pragma once

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/random.h"
#include "runtime/runtime.h"
#include "storage/sqlite/stores.h"
#include "tests/support/fake_model.h"
#include "tests/support/fake_tool.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::testing {

class TestRuntime {
 public:
  struct Config {
    std::vector<std::shared_ptr<Model>> models;
    std::vector<std::shared_ptr<Tool>> tools;
    RuntimeOptions options;
    std::string path;            // of the database
    v1::Agent agent;             // further fields of `agents/test`
    absl::Duration clock_ahead;  // of the wall clock, against the real one
    size_t blocking_threads = 2;
    std::function<std::unique_ptr<Store>(std::unique_ptr<Store>)> wrap_store;             // what the runtime gets instead of its store; none: the store
    std::function<std::unique_ptr<AgentStore>(std::unique_ptr<AgentStore>)> wrap_agents;  // the same
  };

  // Opens the store and starts; the agent `agents/test` uses the first model and every tool.
  explicit TestRuntime(Config config);
  ~TestRuntime() { Stop(absl::ZeroDuration()); }

  // Drains and closes everything. What is under way after `grace` is cut off, as a restart would.
  void Stop(absl::Duration grace);

  Runtime& operator*() { return *runtime_; }
  Runtime* operator->() { return runtime_.get(); }

  // Runs a coroutine of the runtime to its end.
  template <typename T>
  T Await(boost::asio::awaitable<T> coroutine) {
    // A Status must not be copied between threads: it travels inside a shared_ptr.
    auto future = boost::asio::co_spawn(pool_, Boxed(std::move(coroutine)), boost::asio::use_future);
    return std::move(*future.get());
  }

  CreateRequest Request(const std::string& input = "the question") const;
  // Creates and waits for the stop.
  v1::Run RunToStop(CreateRequest request);
  v1::Run RunToStop() { return RunToStop(Request()); }
  v1::Run WaitForStop(const std::string& name);
  // Until no session is in memory: a run leaves it after its end or its wait was told. Nothing says so, hence it is asked for again and again.
  void AwaitNoSession();
  std::vector<EventPtr> Events(const std::string& name);
  Store& store() { return *stores_.store; }
  // From now on the wall clock is `ahead` of the real one.
  void SetClock(absl::Duration ahead) { clock_.Set(ahead); }

 private:
  template <typename T>
  static boost::asio::awaitable<std::shared_ptr<T>> Boxed(boost::asio::awaitable<T> coroutine) {
    co_return std::make_shared<T>(co_await std::move(coroutine));
  }

  class ShiftedClock final : public Clock {
   public:
    explicit ShiftedClock(absl::Duration ahead) : ahead_us_(absl::ToInt64Microseconds(ahead)) {}
    void Set(absl::Duration ahead) { ahead_us_ = absl::ToInt64Microseconds(ahead); }
    absl::Time Now() const override { return clock_.Now() + absl::Microseconds(ahead_us_.load()); }
    absl::Duration Monotonic() const override { return clock_.Monotonic(); }

   private:
    SystemClock clock_;
    std::atomic<int64_t> ahead_us_;
  };

  ShiftedClock clock_;
  SystemTimers timers_;
  SystemRandom random_;
  boost::asio::thread_pool pool_{2};
  boost::asio::thread_pool blocking_;
  sqlite::Stores stores_;
  std::unique_ptr<Runtime> runtime_;
};

}  // namespace agentruntime::testing
