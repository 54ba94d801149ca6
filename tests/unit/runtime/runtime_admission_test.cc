// The whole runtime over a real store: which runs are accepted, and which of them begin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "tests/support/await.h"
#include "tests/support/counter.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::DecidesAfter;
using testing::FakeTool;
using testing::Forever;
using testing::Immediately;
using testing::ModelError;
using testing::NeverDecides;
using testing::RuntimeTest;
using testing::Steps;
using testing::TestRuntime;

TEST_F(RuntimeTest, BadSubmitsAreRefusedByName) {
  TestRuntime runtime(Config(Steps(0, "")));
  CreateRequest unknown = runtime.Request();
  unknown.run.set_agent("agents/nobody");
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->CreateRun(unknown, Caller())).status()), v1::ERROR_REASON_AGENT_NOT_FOUND);
  CreateRequest absurd = runtime.Request();
  absurd.run.mutable_limits()->set_max_steps(kMaxStepsMaximum + 1);
  absurd.run.mutable_limits()->set_max_tokens(kMaxTokensMaximum + 1);
  const auto refused = runtime.Await(runtime->CreateRun(absurd, Caller()));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              ::testing::AllOf(::testing::HasSubstr("run.limits.max_steps: 10001 is above this server's maximum of 10000"),
                               ::testing::HasSubstr("run.limits.max_tokens")));
}

TEST_F(RuntimeTest, TwoHundredSlowRunsShareTwoThreads) {
  TestRuntime runtime(Config([](ModelRequest, DeltaSink&) { return DecidesAfter(absl::Seconds(1), Answer("done")); }));
  std::vector<std::string> names;
  const absl::Time began = absl::Now();
  for (int i = 0; i < 200; ++i) {
    const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    ASSERT_TRUE(run.ok());
    names.push_back(run->name());
  }
  for (const std::string& name : names) EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  // Not a benchmark: one thread a run, or one run at a time, would need minutes.
  EXPECT_LT(absl::Now() - began, absl::Seconds(30));
}

TEST_F(RuntimeTest, RunsOverTheBoundWaitAndAreRefusedWhenTheQueueIsFull) {
  auto config = Config([](ModelRequest, DeltaSink&) { return NeverDecides(); });
  config.options.running_max = 1;
  config.options.queued_max = 2;
  TestRuntime runtime(std::move(config));
  std::vector<std::string> names;
  absl::Status refused;
  for (int i = 0; i < 5 && refused.ok(); ++i) {
    auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    if (run.ok()) {
      names.push_back(run->name());
    } else {
      refused = std::move(run).status();
    }
  }
  EXPECT_EQ(ReasonOf(refused), v1::ERROR_REASON_QUEUE_FULL);
  ASSERT_GE(names.size(), 2u);
  for (const std::string& name : names) {
    ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(name), {.cause = ""}, Caller())).ok());
    EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_CANCELLED);
  }
}

// Their entries in the queue would count until they had their turn, while others hold all the places.
TEST_F(RuntimeTest, RunsThatAreCancelledInTheQueueMakeRoomThere) {
  auto config = Config([](ModelRequest, DeltaSink&) { return NeverDecides(); });
  config.options.running_max = 1;
  config.options.queued_max = 2;
  TestRuntime runtime(std::move(config));
  ASSERT_TRUE(runtime.Await(runtime->CreateRun(runtime.Request(), Caller())).ok());
  for (int i = 0; i < 6; ++i) {
    const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    ASSERT_TRUE(run.ok()) << i << ": " << run.status();
    ASSERT_TRUE(runtime.Await(runtime->CancelRun(IdOf(*run), {.cause = ""}, Caller())).ok());
    EXPECT_EQ(runtime.WaitForStop(run->name()).stop().reason(), v1::STOP_REASON_CANCELLED);
  }
}

// Runs that wait for a person have no place, and any number may wait: answers are taken, and must not put them all to work at once.
TEST_F(RuntimeTest, AnswersPutNoMoreRunsToWorkThanTheBound) {
  testing::Counter went_on;
  auto pay =
      std::make_shared<FakeTool>("pay", v1::SIDE_EFFECT_UNSAFE, [](ToolRequest, ProgressSink&) { return Immediately(ToolOutcome(ToolUnknown{"no answer"})); });
  auto config = Config(
      [&went_on](ModelRequest request, DeltaSink&) {
        if (request.step == 1) return Immediately(Calls({{"pay", "{}"}}));
        went_on.Add();
        return NeverDecides();
      },
      {pay});
  config.agent.set_on_uncertain_call(v1::UNCERTAIN_CALL_ACTION_ASK);
  config.options.running_max = 1;
  config.options.queued_max = 1;
  TestRuntime runtime(std::move(config));
  std::vector<RunId> waiting;
  for (int i = 0; i < 4; ++i) {
    absl::StatusOr<v1::Run> run;
    ASSERT_TRUE(testing::AwaitThat("there is room", [&] { return (run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()))).ok(); }));
    ASSERT_EQ(runtime.Await(runtime->GetRun(IdOf(*run), absl::Seconds(60)))->state(), v1::RUN_STATE_WAITING);
    waiting.push_back(IdOf(*run));
  }
  runtime.AwaitNoSession();
  for (const RunId& run : waiting) {
    v1::CallAnswer answer;
    answer.mutable_result()->add_parts()->set_text("paid");
    const ResolveRequest request = {.call = {1, 1}, .answer = std::move(answer), .request_id = "", .request_hash = ""};
    testing::AwaitThat("the answer is taken", [&] { return runtime.Await(runtime->ResolveCall(run, request, Caller())).ok(); });
  }
  for (int turn = 1; turn <= static_cast<int>(waiting.size()); ++turn) {
    ASSERT_TRUE(went_on.Await(turn));
    testing::AwaitThat("the others have left memory", [&] { return runtime.Await(runtime->GetInfo())->sessions == 1; });
    EXPECT_EQ(went_on.value(), turn);
    // As they were answered.
    ASSERT_TRUE(runtime.Await(runtime->CancelRun(waiting[static_cast<size_t>(turn) - 1], {.cause = ""}, Caller())).ok());
  }
}

// Keeps a cancel, and what comes behind it, to itself until it is told.
class SlowToCancel final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  void Append(AppendRequest request, AppendDone done) override {
    MutexLock lock(mu_);
    holds_ |= request.events.front()->has_cancel_requested() && !released_;
    if (!holds_) return ForwardingStore::Append(std::move(request), std::move(done));
    held_.emplace_back(std::move(request), std::move(done));
  }
  void Release() {
    MutexLock lock(mu_);
    for (auto& [request, done] : held_) ForwardingStore::Append(std::move(request), std::move(done));
    released_ = true;
    holds_ = false;
  }

 private:
  Mutex mu_;
  bool holds_ = false;
  bool released_ = false;
  std::vector<std::pair<AppendRequest, AppendDone>> held_;
};

// A client may ask for the same cancel again and again while the disk is slow.
TEST_F(RuntimeTest, RepliesThatWaitForTheDiskAreBounded) {
  constexpr int kWaitingMax = 64;
  SlowToCancel* store = nullptr;
  auto config = Config([](ModelRequest, DeltaSink&) { return NeverDecides(); });
  config.wrap_store = [&store](std::unique_ptr<Store> wrapped) {
    auto slow = std::make_unique<SlowToCancel>(std::move(wrapped));
    store = slow.get();
    return slow;
  };
  TestRuntime runtime(std::move(config));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok()) << run.status();
  std::atomic<int> ok = 0;
  testing::Counter refused;
  std::vector<std::thread> callers;
  for (int i = 0; i < kWaitingMax + 6; ++i) {
    callers.emplace_back([&] {
      const auto reply = runtime.Await(runtime->CancelRun(IdOf(*run), {.cause = ""}, Caller()));
      ok += reply.ok() ? 1 : 0;
      if (ReasonOf(reply.status()) == v1::ERROR_REASON_QUEUE_FULL) refused.Add();
    });
  }
  EXPECT_TRUE(refused.Await(6));
  store->Release();
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(ok, kWaitingMax);
}

// A command may need a session that only the disk keeps in memory.
TEST_F(RuntimeTest, CommandsFindRoomUpToABound) {
  SlowToCancel* store = nullptr;
  auto config = Config([](ModelRequest, DeltaSink&) { return NeverDecides(); });
  config.options.running_max = 1;
  config.options.queued_max = 3;
  config.wrap_store = [&store](std::unique_ptr<Store> wrapped) {
    auto slow = std::make_unique<SlowToCancel>(std::move(wrapped));
    store = slow.get();
    return slow;
  };
  TestRuntime runtime(std::move(config));
  std::vector<RunId> runs;
  for (int i = 0; i < 4; ++i) runs.push_back(IdOf(*runtime.Await(runtime->CreateRun(runtime.Request(), Caller()))));
  // The first has a session; three more are made for those in the queue.
  std::vector<std::thread> callers;
  for (const RunId& run : runs) {
    callers.emplace_back([&runtime, run] { EXPECT_TRUE(runtime.Await(runtime->CancelRun(run, {.cause = ""}, Caller())).ok()); });
  }
  testing::AwaitThat("all have a session", [&] { return runtime.Await(runtime->GetInfo())->sessions == 4; });
  const auto one_more = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(one_more.ok()) << one_more.status();
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->CancelRun(IdOf(*one_more), {.cause = ""}, Caller())).status()), v1::ERROR_REASON_QUEUE_FULL);
  store->Release();
  for (std::thread& caller : callers) caller.join();
}

// A session that awaits another run stays in memory and gives its place away: without a bound of its own, runs whose children wait would fill the memory.
TEST_F(RuntimeTest, NoMoreRunsThanTheBoundAwaitOthers) {
  std::atomic<int> asked = 0;
  auto ask = std::make_shared<FakeTool>("ask", v1::SIDE_EFFECT_IDEMPOTENT, [&asked](ToolRequest, ProgressSink&) -> boost::asio::awaitable<ToolOutcome> {
    ++asked;
    asked.notify_all();
    co_await Forever();
    co_return ToolUnknown{"cut off"};
  });
  ask->mutable_spec().child = ChildSpec{"agents/test", v1::Limits()};
  ask->mutable_spec().local = false;  // so it is called behind what the session tells the scheduler
  auto config = Config(Steps(1, "ask"), {ask});
  config.options.running_max = 1;
  config.options.queued_max = 1;
  config.options.cancel_grace = absl::Milliseconds(1);
  TestRuntime runtime(std::move(config));
  const auto first = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(first.ok()) << first.status();
  asked.wait(0);
  const auto second = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(second.ok()) << second.status();
  const auto third = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  EXPECT_EQ(ReasonOf(third.status()), v1::ERROR_REASON_QUEUE_FULL);
  EXPECT_EQ(asked, 1);
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(first->name()), {.cause = ""}, Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(first->name()).stop().reason(), v1::STOP_REASON_CANCELLED);
  asked.wait(1);
}

TEST_F(RuntimeTest, ResumeNeedsRoomAndCancelDoesNot) {
  auto config =
      Config([](ModelRequest request, DeltaSink&) { return request.messages.size() > 1 ? NeverDecides() : Immediately(ModelError("MODEL_REFUSED", false)); });
  config.options.running_max = 1;
  TestRuntime runtime(std::move(config));
  const v1::Run first = runtime.RunToStop();
  const v1::Run second = runtime.RunToStop();
  ResumeRequest more;
  more.input.emplace_back().set_text("more");
  absl::Status resumed;
  testing::AwaitThat("the session of the second run has left", [&] {
    resumed = runtime.Await(runtime->ResumeRun(*ParseRunName(first.name()), more, Caller())).status();
    return ReasonOf(resumed) != v1::ERROR_REASON_QUEUE_FULL;
  });
  ASSERT_TRUE(resumed.ok()) << resumed;
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->ResumeRun(*ParseRunName(second.name()), more, Caller())).status()), v1::ERROR_REASON_QUEUE_FULL);
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(first.name()), {.cause = ""}, Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(first.name()).stop().reason(), v1::STOP_REASON_CANCELLED);
}

}  // namespace
}  // namespace agentruntime
