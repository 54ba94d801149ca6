// One life of a simulated server: a runtime with everything below it, from its start to its end or its crash.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "proto/util/errors.h"
#include "runtime/completion.h"
#include "runtime/runtime.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/loop.h"
#include "tests/simulation/store.h"
#include "tests/simulation/world.h"

namespace agentruntime::simulation {

class Process final : public Commits {
 public:
  // Opens the store, as a restored copy if it is `restored`, and starts the runtime.
  Process(World& world, Judge& judge, int number, bool restored);
  // Takes it down, off the stage: its time is its own, nothing of it reaches anybody.
  ~Process() override;

  bool alive() const { return alive_; }
  int number() const { return number_; }
  Loop& loop() { return loop_; }

  // Nothing that it does from here on reaches the disk or the outside. `finish`: a batch under way was through. May be called from within its handlers.
  void Die(absl::string_view why, bool finish);
  // An effect is about to happen: perhaps the process dies before it.
  void MayDie(absl::string_view where);
  // After a drain: what is queued becomes durable, then it ends.
  void Exit();

  // Calls the runtime and waits for the reply. What `call` holds lives until the call has ended; UNAVAILABLE if the process dies meanwhile. Runs on the
  // caller's executor.
  template <typename T>
  boost::asio::awaitable<absl::StatusOr<T>> Call(std::function<boost::asio::awaitable<absl::StatusOr<T>>(Runtime&)> call) {
    auto reply = std::make_shared<Completion<absl::StatusOr<T>>>();
    unanswered_.push_back([reply] { reply->Complete(absl::UnavailableError("connection lost")); });
    boost::asio::co_spawn(loop_.pool(), call(*runtime_), [this, reply, call](std::exception_ptr error, absl::StatusOr<T> result) {
      if (!alive_) return;
      if (error != nullptr) std::rethrow_exception(error);
      reply->Complete(std::move(result));
    });
    co_return co_await reply->Wait();
  }

  // Commits.
  absl::Duration Time() override;
  size_t BatchMax() override { return world_.settings.batch_max; }
  Fate Next() override;
  void Queued(const NewRun& run) override;
  void Queued(const AppendRequest& request) override;
  void Durable(const DiskRun& run, size_t new_events) override { judge_.Durable(run, new_events); }
  void Lost(const AppendRequest& request) override { judge_.Lost(request); }
  void Refused(const NewRun& run) override { judge_.Refused(run); }
  void Deleted(const RunId& run) override { judge_.Deleted(run); }
  bool ReadIsRefused() override { return alive_ && world_.faults && world_.dice.Chance(world_.settings.read_refused); }
  void ProcessEnds() override { Die("a commit failed", false); }

 private:
  class WallClock;
  Environment MakeEnvironment();

  World& world_;
  Judge& judge_;
  const int number_;
  Loop loop_;
  Dice random_;
  std::unique_ptr<WallClock> clock_;
  bool alive_ = true;
  std::unique_ptr<SimulatedStore> store_;
  std::unique_ptr<SimulatedAgentStore> agents_;
  std::unique_ptr<Runtime> runtime_;
  std::vector<absl::AnyInvocable<void()>> unanswered_;
};

}  // namespace agentruntime::simulation
