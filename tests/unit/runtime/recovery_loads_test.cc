// Runs whose journals are being read: a start with many takes them up without a stampede, a drain meanwhile leaves them as they are.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proto/base/mutex.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "runtime/scheduler.h"
#include "tests/support/await.h"
#include "tests/support/counter.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::ForwardingStore;
using testing::NeverDecides;
using testing::RuntimeTest;
using testing::TestRuntime;

constexpr int kRuns = 2 * kLoadsMax;

// Reads of journals that are under way, held until they are released.
struct Loads {
  Mutex mu;
  CondVar changed;
  bool held ABSL_GUARDED_BY(mu) = true;
  int32_t under_way ABSL_GUARDED_BY(mu) = 0;
  int32_t most ABSL_GUARDED_BY(mu) = 0;
  int32_t done ABSL_GUARDED_BY(mu) = 0;

  void AwaitUnderWay(int32_t count) {
    MutexLock lock(mu);
    while (under_way < count) changed.Wait(mu);
  }
  void Release() {
    MutexLock lock(mu);
    held = false;
    changed.NotifyAll();
  }
  void AwaitDone(int32_t count) {
    MutexLock lock(mu);
    while (done < count) changed.Wait(mu);
  }
};

class HeldStore final : public ForwardingStore {
 public:
  HeldStore(std::unique_ptr<Store> store, Loads& loads) : ForwardingStore(std::move(store)), loads_(loads) {}

  absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit limit) override {
    {
      MutexLock lock(loads_.mu);
      loads_.most = std::max(loads_.most, ++loads_.under_way);
      loads_.changed.NotifyAll();
      while (loads_.held) loads_.changed.Wait(loads_.mu);
    }
    auto events = ForwardingStore::ReadEvents(run, after, limit);
    MutexLock lock(loads_.mu);
    --loads_.under_way;
    if (after == 0) ++loads_.done;
    loads_.changed.NotifyAll();
    return events;
  }

 private:
  Loads& loads_;
};

TEST_F(RuntimeTest, AStartLoadsABoundedNumberOfRunsAtOnce) {
  const auto never = [](ModelRequest, DeltaSink&) { return NeverDecides(); };
  {
    TestRuntime runtime(Config(never));
    for (int i = 0; i < kRuns; ++i) ASSERT_TRUE(runtime.Await(runtime->CreateRun(runtime.Request(), Caller())).ok());
  }
  Loads loads;
  TestRuntime::Config config = Config(never);
  config.blocking_threads = 2 * kRuns;  // so that nothing but the bound itself holds loads back
  config.wrap_store = [&loads](std::unique_ptr<Store> store) { return std::make_unique<HeldStore>(std::move(store), loads); };
  TestRuntime runtime(std::move(config));
  loads.AwaitUnderWay(kLoadsMax);
  // Behind every load that was asked for, on the same pool.
  EXPECT_TRUE(runtime.Await(runtime->ListAgents("", 10)).ok());
  loads.Release();
  loads.AwaitDone(kRuns);
  MutexLock lock(loads.mu);
  EXPECT_EQ(loads.most, kLoadsMax);
}

// Its last event would be of this start, and the next one could not tell any more that the run is of the copy.
TEST_F(RuntimeTest, ADrainThatMeetsARunBeforeItIsTakenUpRefusesItsCommands) {
  const auto never = [](ModelRequest, DeltaSink&) { return NeverDecides(); };
  std::string name;
  size_t events = 0;
  {
    TestRuntime runtime(Config(never));
    const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    ASSERT_TRUE(run.ok()) << run.status();
    name = run->name();
    // Nothing says so but the journal.
    ASSERT_TRUE(testing::AwaitThat("the model is asked", [&] { return (events = runtime.Events(name).size()) >= 3; }));
  }
  {
    Loads loads;
    TestRuntime::Config config = Config(never);
    config.wrap_store = [&loads](std::unique_ptr<Store> store) { return std::make_unique<HeldStore>(std::move(store), loads); };
    TestRuntime runtime(std::move(config));
    loads.AwaitUnderWay(1);
    // More than may wait for one session: once one is refused for that, the others wait for it.
    testing::Counter refused;
    std::vector<v1::ErrorReason> replies(65);
    std::vector<std::thread> senders;
    for (v1::ErrorReason& reply : replies) {
      senders.emplace_back([&] {
        InputRequest more;
        more.input.emplace_back().set_text("more");
        reply = ReasonOf(runtime.Await(runtime->SendInput(*ParseRunName(name), more, Caller())).status());
        if (reply == v1::ERROR_REASON_QUEUE_FULL) refused.Add();
      });
    }
    ASSERT_TRUE(refused.Await(1));
    std::thread stop([&] { runtime.Stop(absl::ZeroDuration()); });
    EXPECT_TRUE(testing::AwaitThat("the server drains", [&] { return runtime.Await(runtime->GetInfo())->draining; }));
    loads.Release();
    for (std::thread& sender : senders) sender.join();
    stop.join();
    EXPECT_EQ(std::count(replies.begin(), replies.end(), v1::ERROR_REASON_SERVER_DRAINING), 64);
  }
  TestRuntime runtime(Config(never));
  std::vector<EventPtr> journal;
  ASSERT_TRUE(testing::AwaitThat("the run is taken up", [&] { return (journal = runtime.Events(name)).size() > events; }));
  EXPECT_EQ(journal[events]->kind_case(), v1::Event::kRunStarted) << "nothing was recorded of it in between";
}

}  // namespace
}  // namespace agentruntime
