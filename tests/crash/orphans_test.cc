// A server that dies behind the cancel of a run, before the cancels of the run's children are on disk: the next one finds them and leaves none that goes on.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "proto/util/names.h"
#include "runtime/tools/sub_agent.h"
#include "tests/crash/child.h"
#include "tests/support/counter.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::Counter;
using testing::ForwardingStore;
using testing::RuntimeTest;
using testing::TestRuntime;

constexpr int kChildren = 2;

// Keeps the cancels of children to itself: what comes to it is never on disk, and its server cannot end but by dying.
class StoreWithoutChildrensCancels final : public ForwardingStore {
 public:
  StoreWithoutChildrensCancels(std::unique_ptr<Store> store, Counter& kept) : ForwardingStore(std::move(store)), kept_(kept) {}

  void Append(AppendRequest request, AppendDone done) override {
    const bool is_cancel_of_child = std::any_of(request.events.begin(), request.events.end(), [](const EventPtr& event) {
      return event->has_cancel_requested() && ParseRunName(event->cancel_requested().cancellation().principal());
    });
    if (!is_cancel_of_child) return ForwardingStore::Append(std::move(request), std::move(done));
    kept_.Add();
  }

 private:
  Counter& kept_;
};

class OrphansTest : public RuntimeTest {
 protected:
  // `agents/test` asks two runs of its own kind, which ask a model that never decides.
  TestRuntime::Config Make(Counter& hanging) {
    const auto behaviour = [&hanging](ModelRequest request, DeltaSink&) {
      const auto& said = std::get<UserMessage>(request.messages.front());
      if (said.parts->at(0).text() == "ask")
        return testing::Immediately(testing::Calls(std::vector(kChildren, std::pair<std::string, std::string>("sub", R"({"input":"hang"})"))));
      hanging.Add();
      return testing::NeverDecides();
    };
    TestRuntime::Config config = Config(behaviour, {});
    config.tools.push_back(std::make_shared<SubAgent>(SubAgentOptions{.name = "sub", .agent = "agents/test", .description = "", .limits = {}}));
    config.options.cancel_grace = absl::Milliseconds(1);  // over when the next server begins: it stops the run as soon as it may
    return config;
  }

  // Until the cancel of the parent is acknowledged and those of its children are under way. 0: as it is meant to end.
  int LiveUntilTheCancelsAreUnderWay() {
    return testing::RunInChild([&] {
      Counter hanging, kept;
      TestRuntime::Config config = Make(hanging);
      config.wrap_store = [&kept](std::unique_ptr<Store> store) { return std::make_unique<StoreWithoutChildrensCancels>(std::move(store), kept); };
      TestRuntime runtime(std::move(config));
      const auto run = runtime.Await(runtime->CreateRun(runtime.Request("ask"), Caller()));
      if (!run.ok() || !hanging.Await(kChildren)) _exit(1);
      if (!runtime.Await(runtime->CancelRun(IdOf(*run), {.cause = "", .request_id = "", .request_hash = ""}, Caller())).ok()) _exit(2);
      if (!kept.Await(kChildren)) _exit(3);
      _exit(0);
    });
  }
};

TEST_F(OrphansTest, ACrashBehindTheCancelLeavesNoChildThatGoesOn) {
  ASSERT_EQ(LiveUntilTheCancelsAreUnderWay(), 0);
  Counter hanging;
  TestRuntime runtime(Make(hanging));
  const auto all = runtime.Await(runtime->ListRuns(RunQuery{.oldest_first = true}));
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->first.size(), 1u + kChildren);
  EXPECT_EQ(runtime.WaitForStop(all->first.front().name()).stop().reason(), v1::STOP_REASON_CANCELLED);
  for (int i = 1; i <= kChildren; ++i) {
    const std::string& child = all->first[static_cast<size_t>(i)].name();
    const auto events = runtime.Events(child);
    const auto cancel = std::find_if(events.begin(), events.end(), [](const EventPtr& event) { return event->has_cancel_requested(); });
    ASSERT_NE(cancel, events.end()) << child << " goes on although its parent has stopped";
    EXPECT_GT((*cancel)->epoch(), events.front()->epoch()) << "the first server's cancel came to the disk";
    EXPECT_EQ(runtime.WaitForStop(child).stop().reason(), v1::STOP_REASON_CANCELLED);
  }
}

}  // namespace
}  // namespace agentruntime
