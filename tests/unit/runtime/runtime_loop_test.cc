// The whole runtime over a real store: decisions, calls, limits, and the steps that are read of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>

#include "proto/util/names.h"
#include "proto/util/time.h"
#include "tests/support/await.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/latch.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::Calls;
using testing::Done;
using testing::FakeModel;
using testing::FakeTool;
using testing::Forever;
using testing::Immediately;
using testing::NeverDecides;
using testing::RuntimeTest;
using testing::Steps;
using testing::TestRuntime;

// Knows whether the store is amid a completion on this thread.
class CompletingStore final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  static bool completing() { return completing_; }
  void Create(NewRun run, CreateDone done) override { ForwardingStore::Create(std::move(run), Marked(std::move(done))); }
  void Append(AppendRequest request, AppendDone done) override { ForwardingStore::Append(std::move(request), Marked(std::move(done))); }

 private:
  template <typename Result>
  static absl::AnyInvocable<void(Result)> Marked(absl::AnyInvocable<void(Result)> done) {
    return [done = std::move(done)](Result result) mutable {
      completing_ = true;
      done(std::move(result));
      completing_ = false;
    };
  }

  static thread_local bool completing_;
};
thread_local bool CompletingStore::completing_ = false;

// A session, a model, a tool or a caller that went on within a completion would stop the only thread that commits.
TEST_F(RuntimeTest, NobodyGoesOnWithinACompletionOfTheStore) {
  std::atomic<int> looked = 0, within = 0;
  const auto look = [&] {
    ++looked;
    if (CompletingStore::completing()) ++within;
  };
  auto tool = std::make_shared<FakeTool>("look", v1::SIDE_EFFECT_UNSAFE, [&](ToolRequest, ProgressSink&) {
    look();
    return Immediately(Done("looked"));
  });
  tool->mutable_spec().local = false;
  TestRuntime::Config config = Config(
      [&](ModelRequest request, DeltaSink&) {
        look();
        return Immediately(request.step <= 3 ? Calls({{"look", "{}"}}) : Answer("done"));
      },
      {tool});
  static_cast<FakeModel&>(*config.models[0]).mutable_info().local = false;  // what is not local begins when its intent is durable
  config.wrap_store = [](std::unique_ptr<Store> store) { return std::make_unique<CompletingStore>(std::move(store)); };
  TestRuntime runtime(std::move(config));
  const auto follow = [&]() -> asio::awaitable<int> {
    auto watch = co_await runtime->RunAgent(runtime.Request(), Caller(), /*include_deltas=*/false);
    look();
    if (!watch.ok()) co_return 0;
    for (int messages = 0;; ++messages) {
      const auto next = co_await (*watch)->Next();
      look();
      if (!next.ok() || !*next) co_return messages;
    }
  };
  EXPECT_GE(runtime.Await(follow()), 15);
  EXPECT_GE(looked, 20);
  EXPECT_EQ(within, 0);
}

TEST_F(RuntimeTest, ExampleRunIsNineEventsInOrder) {
  TestRuntime runtime(Config(Steps(1, "echo"), {Echo()}));
  const v1::Run run = runtime.RunToStop();
  EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << "a stopped run does not say why";
  EXPECT_EQ(run.answer(0).text(), "done");
  EXPECT_EQ(run.usage().steps(), 2);
  EXPECT_EQ(run.usage().tool_calls(), 1);
  EXPECT_EQ(run.usage().input_tokens(), 20);
  EXPECT_EQ(run.last_sequence(), 9);
  EXPECT_THAT(Kinds(runtime.Events(run.name())),
              ::testing::ElementsAre(v1::Event::kRunCreated, v1::Event::kRunStarted, v1::Event::kModelCalled, v1::Event::kDecisionMade, v1::Event::kCallStarted,
                                     v1::Event::kCallFinished, v1::Event::kModelCalled, v1::Event::kDecisionMade, v1::Event::kRunStopped));
}

TEST_F(RuntimeTest, ModelReadsResultsInTheOrderOfItsCalls) {
  std::vector<std::string> seen;
  TestRuntime runtime(Config(
      [&seen](ModelRequest request, DeltaSink&) {
        for (const ModelMessage& message : request.messages) {
          if (const auto* result = std::get_if<ToolMessage>(&message)) seen.push_back(result->finished->result(0).text());
        }
        return Immediately(request.step == 1 ? Calls({{"slow", "{}"}, {"echo", "{}"}}) : Answer("done"));
      },
      {Echo(), std::make_shared<FakeTool>("slow", v1::SIDE_EFFECT_READ_ONLY, [](ToolRequest, ProgressSink&) -> asio::awaitable<ToolOutcome> {
         SystemTimers timers;
         co_await timers.Sleep(absl::Milliseconds(50));
         co_return Done("slow");
       })}));
  runtime.RunToStop();
  EXPECT_THAT(seen, ::testing::ElementsAre("slow", "echo 1.2"));
}

// Each call for itself, and recorded when it ends.
TEST_F(RuntimeTest, ACallThatFailsLeavesTheOthersAtWork) {
  testing::Latch go_on;
  int attempts = 0;
  TestRuntime runtime(Config(
      [](ModelRequest request, DeltaSink&) { return Immediately(request.step == 1 ? Calls({{"slow", "{}"}, {"bad", "{}"}}) : Answer("done")); },
      {std::make_shared<FakeTool>("slow", v1::SIDE_EFFECT_READ_ONLY,
                                  [&](ToolRequest, ProgressSink&) -> asio::awaitable<ToolOutcome> {
                                    ++attempts;
                                    co_await go_on.Opened();
                                    co_return Done("slow");
                                  }),
       std::make_shared<FakeTool>("bad", v1::SIDE_EFFECT_READ_ONLY,
                                  [](ToolRequest, ProgressSink&) { return Immediately(ToolOutcome(ToolFailed{"no", /*retryable=*/false, std::nullopt})); })}));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok()) << run.status();
  std::vector<EventPtr> events;
  ASSERT_TRUE(testing::AwaitThat("the call that fails is settled", [&] {
    events = runtime.Events(run->name());
    return events.back()->has_call_finished();
  }));
  EXPECT_EQ(events.back()->call_finished().call_id(), "1.2");
  go_on.Open();
  const v1::Run stopped = runtime.WaitForStop(run->name());
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  std::map<std::string, v1::CallOutcome> outcomes;
  for (const EventPtr& event : runtime.Events(run->name())) {
    if (event->has_call_finished()) outcomes[event->call_finished().call_id()] = event->call_finished().outcome();
  }
  EXPECT_THAT(outcomes, ::testing::ElementsAre(::testing::Pair("1.1", v1::CALL_OUTCOME_OK), ::testing::Pair("1.2", v1::CALL_OUTCOME_ERROR)));
  EXPECT_EQ(attempts, 1);
}

TEST_F(RuntimeTest, ArgumentsThatDoNotFitTheSchemaGoBackToTheModel) {
  auto strict = std::make_shared<FakeTool>("strict", v1::SIDE_EFFECT_READ_ONLY, [](ToolRequest, ProgressSink&) { return Immediately(Done("ran")); });
  strict->mutable_spec().input_schema = R"({"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]})";
  TestRuntime runtime(
      Config([](ModelRequest request, DeltaSink&) { return Immediately(request.step == 1 ? Calls({{"strict", R"({"n":"x"})"}}) : Answer("done")); }, {strict}));
  const v1::Run run = runtime.RunToStop();
  EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  const auto events = runtime.Events(run.name());
  ASSERT_TRUE(events[4]->has_call_finished());
  EXPECT_EQ(events[4]->call_finished().outcome(), v1::CALL_OUTCOME_ERROR);
  EXPECT_THAT(events[4]->call_finished().result(0).text(), ::testing::HasSubstr("/n"));
}

TEST_F(RuntimeTest, ToolTimeoutIsRetriedThenReported) {
  auto hang = std::make_shared<FakeTool>("hang", v1::SIDE_EFFECT_READ_ONLY, [](ToolRequest request, ProgressSink&) -> asio::awaitable<ToolOutcome> {
    if (request.attempt == 1) {
      co_await Forever();
      co_return ToolUnknown{"cancelled"};
    }
    co_return Done("second");
  });
  hang->mutable_spec().timeout = absl::Milliseconds(20);
  TestRuntime runtime(Config(Steps(1, "hang"), {hang}));
  const v1::Run run = runtime.RunToStop();
  EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  const auto steps = runtime.Await(runtime->ListSteps(*ParseRunName(run.name()), {}, ReadLimit()));
  ASSERT_TRUE(steps.ok());
  EXPECT_EQ(steps->first[0].tool_calls(0).attempts(), 2);
  EXPECT_EQ(steps->first[0].tool_calls(0).result(0).text(), "second");
}

TEST_F(RuntimeTest, ToolThatIgnoresItsCancellationIsGivenUp) {
  auto deaf = std::make_shared<FakeTool>("deaf", v1::SIDE_EFFECT_UNSAFE, [](ToolRequest, ProgressSink&) -> asio::awaitable<ToolOutcome> {
    SystemTimers timers;
    for (int i = 0; i < 2; ++i) co_await timers.Sleep(absl::Seconds(4));  // the cancellation ends the first sleep only
    co_return Done("late");
  });
  deaf->mutable_spec().timeout = absl::Milliseconds(20);
  TestRuntime runtime(Config(Steps(1, "deaf"), {deaf}));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok());
  const v1::Run stopped = runtime.WaitForStop(run->name());
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_LT(FromProto(stopped.stop_time()) - FromProto(stopped.create_time()), absl::Seconds(4)) << "it did not wait for the tool";
  const auto steps = runtime.Await(runtime->ListSteps(*ParseRunName(run->name()), {}, ReadLimit()));
  ASSERT_TRUE(steps.ok());
  EXPECT_EQ(steps->first[0].tool_calls(0).outcome(), v1::CALL_OUTCOME_UNCERTAIN);
}

TEST_F(RuntimeTest, TimeoutStopsARunWhoseModelHangs) {
  TestRuntime runtime(Config([](ModelRequest, DeltaSink&) { return NeverDecides(); }));
  CreateRequest request = runtime.Request();
  *request.run.mutable_limits()->mutable_timeout() = ToProto(absl::Milliseconds(50));
  const v1::Run run = runtime.RunToStop(std::move(request));
  EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_TIMEOUT);
  EXPECT_EQ(run.stop().limit().value(), 50);
  EXPECT_GE(run.stop().limit().count(), 50);
}

TEST_F(RuntimeTest, TokenBudgetStops) {
  TestRuntime runtime(Config(
      [](ModelRequest, DeltaSink&) {
        ModelOutcome outcome = Calls({{"echo", "{}"}});
        outcome.usage->set_input_tokens(600);
        return Immediately(std::move(outcome));
      },
      {Echo()}));
  CreateRequest request = runtime.Request();
  request.run.mutable_limits()->set_max_tokens(1000);
  const v1::Run run = runtime.RunToStop(std::move(request));
  EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_TOKEN_BUDGET);
  EXPECT_EQ(run.stop().limit().value(), 1000);
}

// Each page reads on from where the one before ended; together they are the whole.
TEST_F(RuntimeTest, PagesOfStepsAreTheWholeListWhateverIsBetweenThem) {
  TestRuntime runtime(Config(Steps(6, "echo"), {Echo()}));
  CreateRequest request = runtime.Request();
  request.run.mutable_limits()->set_max_steps(3);
  const v1::Run stopped = runtime.RunToStop(std::move(request));
  const RunId id = *ParseRunName(stopped.name());
  ResumeRequest resume;
  resume.limits.set_max_steps(20);
  ASSERT_TRUE(runtime.Await(runtime->ResumeRun(id, resume, Caller())).ok());
  runtime.WaitForStop(stopped.name());
  const auto whole = runtime.Await(runtime->ListSteps(id, {}, ReadLimit()));
  ASSERT_EQ(whole->first.size(), 7u);
  StepCursor cursor;
  for (size_t i = 0; i < whole->first.size(); ++i) {
    const auto page = runtime.Await(runtime->ListSteps(id, cursor, ReadLimit{.events_max = 1}));
    ASSERT_EQ(page->first.size(), 1u);
    EXPECT_EQ(page->first[0].SerializeAsString(), whole->first[i].SerializeAsString()) << i;
    EXPECT_EQ(page->second, i + 1 < whole->first.size());
    cursor = {page->first[0].number(), page->first[0].last_sequence()};
  }
}

}  // namespace
}  // namespace agentruntime
