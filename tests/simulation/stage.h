// The stage of one simulation: the process of the moment, those who use it, and what befalls it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "tests/simulation/judge.h"
#include "tests/simulation/process.h"
#include "tests/simulation/world.h"

namespace agentruntime::simulation {

class Stage {
 public:
  Stage(World& world, Judge& judge) : world_(world), judge_(judge) {}

  // Plays one seed to its end, or to the first broken promise.
  void Play();

 private:
  template <typename T>
  using Asked = std::function<boost::asio::awaitable<absl::StatusOr<T>>(Runtime&)>;

  // UNAVAILABLE while no process is there.
  template <typename T>
  boost::asio::awaitable<absl::StatusOr<T>> Ask(Asked<T> asked) {
    if (process_ == nullptr || !process_->alive()) co_return absl::UnavailableError("connection refused");
    co_return co_await process_->Call<T>(std::move(asked));
  }
  boost::asio::awaitable<void> Sleep(absl::Duration delay) { return world_.outside.Sleep(delay); }
  // One more coroutine outside, counted until it ends.
  void Spawn(boost::asio::awaitable<void> client);

  // story.cc
  boost::asio::awaitable<void> Story();
  boost::asio::awaitable<void> MakeAgents();
  boost::asio::awaitable<void> Settle();
  boost::asio::awaitable<void> AwaitStop(RunId run);
  void Restart(absl::Duration down);
  boost::asio::awaitable<void> StartLater(absl::Duration down);
  // Buries a process that ended. Between two handlers.
  void Reap();
  bool Step();

  // faults.cc
  boost::asio::awaitable<void> Crashes();
  boost::asio::awaitable<void> Drains();
  boost::asio::awaitable<void> DrainOnce(absl::Duration grace);
  boost::asio::awaitable<void> FullDisks();
  boost::asio::awaitable<void> ClockJumps();

  // clients.cc
  boost::asio::awaitable<void> Submitter(int number);
  boost::asio::awaitable<void> Submit(CreateRequest request, bool follow);
  boost::asio::awaitable<void> Meddler();
  boost::asio::awaitable<void> MeddleWith(RunId run);
  boost::asio::awaitable<void> Cancel(RunId run);
  boost::asio::awaitable<void> Tell(RunId run);
  boost::asio::awaitable<void> Resume(RunId run);
  boost::asio::awaitable<void> Fork(RunId run);
  v1::CallAnswer AnyAnswer(v1::WaitKind kind);
  boost::asio::awaitable<void> Resolve(RunId run);
  boost::asio::awaitable<void> Look(RunId run);
  boost::asio::awaitable<void> ReadArtifact(RunId run, int32_t number);
  void Acknowledge(const CreateRequest& request, const v1::Run& run);
  CreateRequest NewRequest(int submitter, int number);
  // Fails unless the code is one that callers are promised.
  void CheckCode(const absl::Status& status, absl::string_view what);
  std::optional<RunId> AnyRun();

  // watchers.cc
  // A watch lives as long as the process that it watches.
  struct Connection {
    std::shared_ptr<Watch> watch;
    int process = 0;
  };
  boost::asio::awaitable<absl::StatusOr<EncodedResponse>> Next(Connection connection);
  boost::asio::awaitable<void> Watcher();
  // Follows `run` until its end, across reconnects; leaves early if `may_leave`. `connection`: where to begin; it may be none.
  boost::asio::awaitable<void> Follow(RunId run, Sequence cursor, bool deltas, bool may_leave, Connection connection);
  // One connection: true if it is to be tried again.
  boost::asio::awaitable<bool> FollowOnce(RunId run, Sequence* cursor, bool may_leave, Connection connection);

  World& world_;
  Judge& judge_;
  std::unique_ptr<Process> process_;
  int processes_ = 0;
  bool starting_ = false;
  int clients_ = 0;
  int requests_ = 0;
  bool over_ = false;
  std::map<std::string, std::pair<std::string, std::string>> acknowledged_;  // request id: hash, run
};

}  // namespace agentruntime::simulation
