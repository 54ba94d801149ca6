// Agents that ask agents: what one run may grow to.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "runtime/tools/sub_agent.h"
#include "tests/support/await.h"
#include "tests/support/call_answers.h"
#include "tests/support/counter.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/latch.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::Immediately;
using testing::RuntimeTest;
using testing::TestRuntime;

constexpr int kAsked = 20;  // by each run that asks

// On two levels asks others of its kind, all at once, then says what the first that failed said.
boost::asio::awaitable<ModelOutcome> AsksMany(ModelRequest request, DeltaSink&) {
  const std::string input = std::get<UserMessage>(request.messages[0]).parts->at(0).text();
  if (request.step == 1 && input != "level 2") {
    const std::string arguments = absl::StrCat(R"({"input":")", input == "level 1" ? "level 2" : "level 1", R"("})");
    return Immediately(Calls(std::vector<std::pair<std::string, std::string>>(kAsked, {"ask", arguments})));
  }
  std::string failure = "all answered";
  for (const ModelMessage& message : request.messages) {
    const auto* const said = std::get_if<ToolMessage>(&message);
    if (said == nullptr) continue;
    const v1::CallFinished& finished = *said->finished;
    if (finished.outcome() == v1::CALL_OUTCOME_ERROR || absl::StrContains(finished.result(0).text(), "could not begin")) failure = finished.result(0).text();
  }
  return Immediately(Answer(failure));
}

TEST_F(RuntimeTest, RunsThatAskForMoreThanMayBeThereAreRefusedAndEnd) {
  TestRuntime::Config config =
      Config(AsksMany, {std::make_shared<SubAgent>(SubAgentOptions{.name = "ask", .agent = "agents/test", .description = "", .limits = {}})});
  config.options.running_max = 1;
  config.options.queued_max = 1;
  TestRuntime runtime(std::move(config));
  const v1::Run root = runtime.RunToStop(runtime.Request("level 0"));
  EXPECT_EQ(root.stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << root.stop().detail();
  RunQuery query;
  query.limit = 1000;
  const auto page = runtime.store().ListRuns(query);
  ASSERT_TRUE(page.ok()) << page.status();
  int refused = 0;
  for (const RunRecord& record : page->runs) {
    const v1::Run run = *runtime.Await(runtime->GetRun(record.id, absl::ZeroDuration()));
    EXPECT_EQ(run.state(), v1::RUN_STATE_STOPPED);
    refused += absl::StrContains(run.answer(0).text(), "as many as it may; ask fewer agents at once") ? 1 : 0;
  }
  EXPECT_GT(page->runs.size(), size_t{kCallsPerDecisionMax}) << "there is room for the calls of one decision";
  EXPECT_GT(refused, 0);
}

// Who has begun and waits for a place again is no run more.
TEST_F(RuntimeTest, AnsweredRunsThatWaitForTheirPlaceKeepNoChildOut) {
  constexpr int kWaiting = kCallsPerDecisionMax + 10;
  testing::Counter asked;
  testing::Latch ask;
  const auto behaviour = [&](ModelRequest request, DeltaSink&) -> boost::asio::awaitable<ModelOutcome> {
    const std::string input = std::get<UserMessage>(request.messages[0]).parts->at(0).text();
    if (input == "parent" && request.step == 1) {
      asked.Add();
      co_await ask.Opened();
      co_return Calls({{"ask", R"({"input":"child"})"}});
    }
    if (input == "pay" && request.step == 1) co_return Calls({{"pay", "{}"}});
    const auto* const said = std::get_if<ToolMessage>(&request.messages.back());
    co_return Answer(said == nullptr ? "the child's answer" : said->finished->result(0).text());
  };
  TestRuntime::Config config = Config(
      behaviour,
      {std::make_shared<SubAgent>(SubAgentOptions{.name = "ask", .agent = "agents/test", .description = "", .limits = {}}),
       std::make_shared<testing::FakeTool>("pay", v1::SIDE_EFFECT_UNSAFE, [](ToolRequest, ProgressSink&) { return Immediately(testing::Done("paid")); })});
  config.agent.add_approve_tools("pay");
  config.options.running_max = 1;
  config.options.queued_max = 1;
  TestRuntime runtime(std::move(config));
  std::vector<RunId> waiting;
  for (int i = 0; i < kWaiting; ++i) {
    const auto run = runtime.Await(runtime->CreateRun(runtime.Request("pay"), Caller()));
    ASSERT_TRUE(run.ok()) << run.status();
    waiting.push_back(IdOf(*run));
    testing::AwaitThat("it waits", [&] { return runtime.Await(runtime->GetRun(waiting.back(), absl::ZeroDuration()))->state() == v1::RUN_STATE_WAITING; });
  }
  const auto parent = runtime.Await(runtime->CreateRun(runtime.Request("parent"), Caller()));
  ASSERT_TRUE(parent.ok()) << parent.status();
  ASSERT_TRUE(asked.Await(1));
  for (const RunId& run : waiting) {
    const ResolveRequest allow = {.call = {1, 1}, .answer = testing::Allow(), .request_id = "", .request_hash = ""};
    testing::AwaitThat("a session is free to take the answer", [&] { return runtime.Await(runtime->ResolveCall(run, allow, Caller())).ok(); });
  }
  testing::AwaitThat("only the parent has a session", [&] { return runtime.Await(runtime->GetInfo())->sessions == 1; });
  ask.Open();
  EXPECT_EQ(runtime.WaitForStop(parent->name()).answer(0).text(), "the child's answer");
  for (const RunId& run : waiting) EXPECT_EQ(runtime.WaitForStop(RunName(run)).answer(0).text(), "paid");
}

// Parents that wait keep new runs from beginning. One that had begun when its server ended is none of those: who waits for the parents may be its person.
TEST_F(RuntimeTest, AParentThatWaitsKeepsNoRunOutThatHadBegunBeforeARestart) {
  testing::Counter asked;
  std::atomic<bool> answers = false;
  const auto behaviour = [&](ModelRequest request, DeltaSink&) {
    const std::string input = std::get<UserMessage>(request.messages[0]).parts->at(0).text();
    if (input == "parent") return Immediately(request.step == 1 ? Calls({{"ask", R"({"input":"child"})"}}) : Answer("done"));
    if (request.step == 1) return Immediately(Calls({{"pay", "{}"}}));
    asked.Add();
    return answers ? Immediately(Answer("done")) : testing::NeverDecides();
  };
  const auto config = [&] {
    TestRuntime::Config made = Config(
        behaviour,
        {std::make_shared<SubAgent>(SubAgentOptions{.name = "ask", .agent = "agents/test", .description = "", .limits = {}}),
         std::make_shared<testing::FakeTool>("pay", v1::SIDE_EFFECT_UNSAFE, [](ToolRequest, ProgressSink&) { return Immediately(testing::Done("paid")); })});
    made.agent.add_approve_tools("pay");
    made.options.running_max = 1;
    return made;
  };
  RunId work;
  {
    TestRuntime runtime(config());
    const auto waits = [&](const RunId& run) { return runtime.Await(runtime->GetRun(run, absl::ZeroDuration()))->state() == v1::RUN_STATE_WAITING; };
    const auto created = runtime.Await(runtime->CreateRun(runtime.Request("work"), Caller()));
    ASSERT_TRUE(created.ok()) << created.status();
    work = IdOf(*created);
    ASSERT_TRUE(testing::AwaitThat("it waits", [&] { return waits(work); }));
    CreateRequest request = runtime.Request("parent");
    request.run.set_priority(10);  // it goes first behind the restart
    const auto parent = runtime.Await(runtime->CreateRun(std::move(request), Caller()));
    ASSERT_TRUE(parent.ok()) << parent.status();
    ASSERT_TRUE(testing::AwaitThat("the child waits", [&] {
      const auto page = runtime.store().ListRuns(RunQuery());
      return page.ok() && page->runs.size() == 3 &&
             std::all_of(page->runs.begin(), page->runs.end(), [&](const RunRecord& record) { return record.id == IdOf(*parent) || waits(record.id); });
    }));
    const ResolveRequest allow = {.call = {1, 1}, .answer = testing::Allow(), .request_id = "", .request_hash = ""};
    ASSERT_TRUE(runtime.Await(runtime->ResolveCall(work, allow, Caller())).ok());
    ASSERT_TRUE(asked.Await(1));
  }
  answers = true;
  TestRuntime runtime(config());
  EXPECT_EQ(runtime.WaitForStop(RunName(work)).answer(0).text(), "done");
}

// All but its row and its first event is lost.
class DamagedStore final : public testing::ForwardingStore {
 public:
  DamagedStore(std::unique_ptr<Store> store, RunId damaged) : ForwardingStore(std::move(store)), damaged_(damaged) {}
  absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit limit) override {
    if (run == damaged_ && limit.events_max > 1) return RunDamaged(run, "the test said so");
    return ForwardingStore::ReadEvents(run, after, limit);
  }

 private:
  const RunId damaged_;
};

TEST_F(RuntimeTest, NobodyWaitsForAChildThatIsDamaged) {
  testing::Counter hanging;
  const auto behaviour = [&hanging](ModelRequest request, DeltaSink&) {
    if (std::get<UserMessage>(request.messages[0]).parts->at(0).text() == "hang") {
      hanging.Add();
      return testing::NeverDecides();
    }
    return Immediately(request.step == 1 ? Calls({{"ask", R"({"input":"hang"})"}}) : Answer("went on without it"));
  };
  const std::vector<std::shared_ptr<Tool>> tools = {
      std::make_shared<SubAgent>(SubAgentOptions{.name = "ask", .agent = "agents/test", .description = "", .limits = {}})};
  RunId parent, child;
  {
    TestRuntime runtime(Config(behaviour, tools));
    const auto run = runtime.Await(runtime->CreateRun(runtime.Request("ask"), Caller()));
    ASSERT_TRUE(run.ok()) << run.status();
    parent = IdOf(*run);
    ASSERT_TRUE(hanging.Await(1));
    const auto page = runtime.store().ListRuns(RunQuery());
    ASSERT_TRUE(page.ok()) << page.status();
    for (const RunRecord& record : page->runs) {
      if (record.id != parent) child = record.id;
    }
    // The model is local, so it is asked before its call is durable.
    ASSERT_TRUE(testing::AwaitThat("the child has begun", [&] { return runtime.Events(RunName(child)).size() >= 3; }));
  }
  TestRuntime::Config config = Config(behaviour, tools);
  config.wrap_store = [&](std::unique_ptr<Store> store) { return std::make_unique<DamagedStore>(std::move(store), child); };
  TestRuntime runtime(std::move(config));
  EXPECT_EQ(runtime.WaitForStop(RunName(parent)).answer(0).text(), "went on without it");
}

// Says of a run and its children that they were started again and again without progress, so that each is to be taken up alone until it gets on; the run
// before its children.
class SuspectStore final : public testing::ForwardingStore {
 public:
  SuspectStore(std::unique_ptr<Store> store, RunId first) : ForwardingStore(std::move(store)), first_(first) {}
  absl::StatusOr<std::vector<UnfinishedRun>> UnfinishedRuns(std::optional<RunId> after, int32_t limit) override {
    if (after) return std::vector<UnfinishedRun>();
    auto page = ForwardingStore::UnfinishedRuns(after, limit);
    if (!page.ok()) return page;
    for (UnfinishedRun& run : *page) run.barren_starts = kBarrenStartsSuspect + 1;
    std::partition(page->begin(), page->end(), [this](const UnfinishedRun& run) { return run.id == first_; });
    return page;
  }

 private:
  const RunId first_;
};

// Of two suspects the one waits for the other: neither would ever get on.
TEST_F(RuntimeTest, ASuspectThatAwaitsItsChildMakesRoomForIt) {
  testing::Counter asked;
  std::atomic<bool> answers = false;
  const auto behaviour = [&](ModelRequest request, DeltaSink&) {
    if (std::get<UserMessage>(request.messages[0]).parts->at(0).text() != "child") {
      return Immediately(request.step == 1 ? Calls({{"ask", R"({"input":"child"})"}}) : Answer("done"));
    }
    asked.Add();
    return answers ? Immediately(Answer("done")) : testing::NeverDecides();
  };
  const std::vector<std::shared_ptr<Tool>> tools = {
      std::make_shared<SubAgent>(SubAgentOptions{.name = "ask", .agent = "agents/test", .description = "", .limits = {}})};
  RunId parent;
  {
    TestRuntime runtime(Config(behaviour, tools));
    const auto run = runtime.Await(runtime->CreateRun(runtime.Request("parent"), Caller()));
    ASSERT_TRUE(run.ok()) << run.status();
    parent = IdOf(*run);
    ASSERT_TRUE(asked.Await(1));
  }
  answers = true;
  asked.Reset();
  TestRuntime::Config config = Config(behaviour, tools);
  config.wrap_store = [&](std::unique_ptr<Store> store) { return std::make_unique<SuspectStore>(std::move(store), parent); };
  TestRuntime runtime(std::move(config));
  ASSERT_TRUE(asked.Await(1, absl::Seconds(30))) << "the child is not taken up";
  EXPECT_EQ(runtime.WaitForStop(RunName(parent)).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

}  // namespace
}  // namespace agentruntime
