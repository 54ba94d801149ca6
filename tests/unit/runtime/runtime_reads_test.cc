// The whole runtime over a real store: what callers read, and what that may cost others.
#include <gtest/gtest.h>

#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "runtime/reads.h"
#include "tests/support/coroutine.h"
#include "tests/support/held_reads.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::ForwardingStore;
using testing::HeldLists;
using testing::HeldReads;
using testing::NeverDecides;
using testing::RuntimeTest;
using testing::Steps;
using testing::TestRuntime;

using Listed = absl::StatusOr<std::pair<std::vector<v1::Run>, bool>>;

class ReadsTest : public RuntimeTest {
 protected:
  // Two reads at once, one of them a walk, and a thread besides.
  TestRuntime::Config Narrow(testing::FakeModel::Behaviour behaviour) {
    TestRuntime::Config config = Config(std::move(behaviour));
    config.options.reads_at_once_max = 2;
    config.options.reads_waiting_max = 4;
    config.blocking_threads = 3;
    config.wrap_store = [this](std::unique_ptr<Store> store) { return std::make_unique<HeldLists>(std::move(store), held_); };
    return config;
  }

  HeldReads held_;
};

TEST_F(ReadsTest, ChangesOfAgentsThatWaitForTheDiskLeaveThreadsToReadsAndAreBounded) {
  TestRuntime::Config config = Config(Steps(0, ""));
  config.blocking_threads = 3;
  config.wrap_agents = [this](std::unique_ptr<AgentStore> agents) { return std::make_unique<testing::HeldAgents>(std::move(agents), held_); };
  TestRuntime runtime(std::move(config));
  const auto change = [&](int number) {
    v1::Agent agent = runtime.Await(runtime->GetAgent("test", 0)).value();
    agent.set_name(absl::StrCat("agents/a", number));
    return agent;
  };
  held_.Hold();
  std::vector<std::unique_ptr<testing::Running<absl::StatusOr<v1::Agent>>>> changes;
  for (int i = 0; i < 110; ++i) {
    changes.push_back(std::make_unique<testing::Running<absl::StatusOr<v1::Agent>>>(
        [&runtime, i, agent = change(i)] { return i % 2 == 0 ? runtime->CreateAgent(agent) : runtime->UpdateAgent(agent, true); }));
  }
  held_.AwaitUnderWay(2);
  EXPECT_TRUE(runtime.Await(runtime->ListRuns(RunQuery())).ok());
  held_.Release();
  int refused = 0;
  for (const auto& made : changes) {
    const absl::Status status = made->Get().status();
    if (status.ok()) continue;
    EXPECT_EQ(status, TooManyAtOnce("changes of agents", 100));
    ++refused;
  }
  EXPECT_LE(refused, 8);
}

TEST_F(ReadsTest, CancelsAndCommandsGoPastReads) {
  TestRuntime runtime(Narrow([](ModelRequest, DeltaSink&) { return NeverDecides(); }));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok()) << run.status();
  held_.Hold();
  std::vector<std::unique_ptr<testing::Running<Listed>>> lists;
  for (int i = 0; i < 4; ++i) lists.push_back(std::make_unique<testing::Running<Listed>>([&] { return runtime->ListRuns(RunQuery()); }));
  held_.AwaitUnderWay(1);
  EXPECT_TRUE(runtime.Await(runtime->GetRun(IdOf(*run), absl::ZeroDuration())).ok()) << "and so do reads of a few rows";
  EXPECT_TRUE(runtime.Await(runtime->CancelRun(IdOf(*run), CancelRequest(), Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(run->name()).stop().reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_EQ(held_.under_way(), 1) << "a list holds one thread, however many there are";
  held_.Release();
  for (const auto& list : lists) EXPECT_TRUE(list->Get().ok());
}

TEST_F(ReadsTest, AReadOfOneWhoLeftEndsBetweenTwoPages) {
  // One event a page.
  class Slow final : public ForwardingStore {
   public:
    Slow(std::unique_ptr<Store> store, int& reads, std::stop_source& stop) : ForwardingStore(std::move(store)), reads_(reads), stop_(stop) {}
    absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit) override {
      if (++reads_ == 2) stop_.request_stop();
      return ForwardingStore::ReadEvents(run, after, ReadLimit{.events_max = 1});
    }

   private:
    int& reads_;
    std::stop_source& stop_;
  };
  int reads = 0;
  std::stop_source stop;
  TestRuntime::Config config = Config(Steps(3, "echo"), {Echo()});
  const std::string path = config.path;
  RunId id;
  {
    TestRuntime runtime(std::move(config));
    id = IdOf(runtime.RunToStop());
  }
  auto stores = sqlite::OpenStores({.path = path});
  ASSERT_TRUE(stores.ok()) << stores.status();
  Slow store(std::move(stores->store), reads, stop);
  EXPECT_EQ(ReadSteps(store, id, {}, ReadLimit(), stop.get_token()).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(reads, 2);
  EXPECT_EQ(ReadSteps(store, id, {}, ReadLimit(), std::stop_token())->first.size(), 4u);
}

// Nothing but the place of a read is waited for: it is given back at once.
TEST_F(ReadsTest, AClosedWatchWaitsForNoRead) {
  TestRuntime::Config config = Config([](ModelRequest, DeltaSink&) { return NeverDecides(); });
  config.options.reads_at_once_max = 2;
  config.wrap_store = [this](std::unique_ptr<Store> store) { return std::make_unique<testing::HeldStore>(std::move(store), held_); };
  config.blocking_threads = 4;
  TestRuntime runtime(std::move(config));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok()) << run.status();
  held_.Hold();
  const auto get = [&] { return runtime->GetRun(IdOf(*run), absl::ZeroDuration()); };
  testing::Running<absl::StatusOr<v1::Run>> first(get);
  testing::Running<absl::StatusOr<v1::Run>> second(get);
  held_.AwaitUnderWay(2);
  const auto watch = *runtime.Await(runtime->WatchRun(IdOf(*run), 0, false));
  testing::Running<absl::StatusOr<EncodedResponse>> next([&] { return watch->Next(); });
  watch->Close();
  EXPECT_EQ(next.Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(held_.under_way(), 2);
  held_.Release();
  EXPECT_TRUE(first.Get().ok());
  EXPECT_TRUE(second.Get().ok());
}

}  // namespace
}  // namespace agentruntime
