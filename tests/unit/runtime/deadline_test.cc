// What is promised for a moment happens then, whoever works meanwhile: a deadline, a timeout, an expiry need no place under running_max.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/scheduler.h"
#include "tests/support/await.h"
#include "tests/support/counter.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/latch.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::Calls;
using ::testing::ElementsAre;
using testing::FakeTool;
using testing::Immediately;
using testing::ModelError;
using testing::RuntimeTest;
using testing::TestRuntime;

// One place to work, and a run that keeps it until `released_`.
class DeadlineTest : public RuntimeTest {
 protected:
  // The model does as its run's input says: "hang"; "ask" a person for leave to pay, then answer; the same and "look" up what cannot be had now; "retry" in
  // five minutes; else answer.
  TestRuntime::Config Config() {
    auto pay = std::make_shared<FakeTool>("pay", v1::SIDE_EFFECT_UNSAFE, [](ToolRequest, ProgressSink&) { return Immediately(testing::Done("paid")); });
    auto look = std::make_shared<FakeTool>("look", v1::SIDE_EFFECT_READ_ONLY,
                                           [this](ToolRequest, ProgressSink&) { return Immediately(ToolFailed{"not now", /*retryable=*/true, retry_after_}); });
    TestRuntime::Config config = RuntimeTest::Config(
        [this](ModelRequest request, DeltaSink&) -> asio::awaitable<ModelOutcome> {
          const std::string asked = (*std::get<UserMessage>(request.messages[0]).parts)[0].text();
          {
            MutexLock lock(mu_);
            order_.push_back(asked);
          }
          asked_.Add();
          if (asked == "hang" && !co_await released_.Opened()) co_return ModelError("INTERRUPTED", false);
          if (asked == "ask" && request.step == 1) {
            if (before_asking_) before_asking_();
            co_return Calls({{"pay", "{}"}});
          }
          if (asked == "look" && request.step == 1) co_return Calls({{"pay", "{}"}, {"look", "{}"}});
          if (asked == "retry" && request.attempt == 1) {
            ModelOutcome failed = ModelError("MODEL_UNAVAILABLE", /*retryable=*/true);
            failed.retry_after = retry_after_;
            co_return failed;
          }
          co_return Answer("done");
        },
        {pay, look});
    config.agent.add_approve_tools("pay");
    *config.agent.mutable_call_wait() = ToProto(call_wait_);
    config.options.running_max = 1;
    config.options.stay_max = absl::ZeroDuration();
    return config;
  }
  static std::string Submit(TestRuntime& runtime, const std::string& input, absl::Time deadline = absl::InfiniteFuture(),
                            absl::Duration timeout = absl::Minutes(10)) {
    CreateRequest request = runtime.Request(input);
    if (deadline < absl::InfiniteFuture()) *request.run.mutable_deadline() = ToProto(deadline);
    *request.run.mutable_limits()->mutable_timeout() = ToProto(timeout);
    const auto run = runtime.Await(runtime->CreateRun(std::move(request), Caller()));
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? run->name() : "";
  }
  // Takes the only place, for as long as the test wants.
  std::string Hang(TestRuntime& runtime) {
    const int asked = asked_.value();
    std::string name = Submit(runtime, "hang");
    EXPECT_TRUE(asked_.Await(asked + 1));
    return name;
  }
  static v1::Run Get(TestRuntime& runtime, const std::string& name) { return *runtime.Await(runtime->GetRun(*ParseRunName(name), absl::ZeroDuration())); }
  static void AwaitState(TestRuntime& runtime, const std::string& name, v1::RunState state) {
    testing::AwaitThat("the run has come so far", [&] { return Get(runtime, name).state() == state; });
  }
  static void AwaitKind(TestRuntime& runtime, const std::string& name, v1::Event::KindCase kind) {
    testing::AwaitThat("the event is there", [&] { return Kinds(runtime.Events(name)).back() == kind; });
  }
  std::vector<std::string> order() {
    MutexLock lock(mu_);
    return order_;
  }
  static std::string LimitOf(const v1::Run& run) { return v1::StopReason_Name(run.stop().reason()) + " " + run.stop().limit().limit(); }

  testing::Counter asked_;
  testing::Latch released_;
  absl::Duration call_wait_ = absl::Hours(1);
  absl::Duration retry_after_ = absl::Minutes(5);
  std::function<void()> before_asking_;  // what the model does first

 private:
  Mutex mu_;
  std::vector<std::string> order_ ABSL_GUARDED_BY(mu_);
};

TEST_F(DeadlineTest, AQueuedRunStopsAtItsDeadlineWhileOthersHoldThePlaces) {
  TestRuntime runtime(Config());
  const std::string first = Hang(runtime);
  const absl::Time deadline = absl::Now() + absl::Milliseconds(200);
  const std::string second = Submit(runtime, "work", deadline);
  const v1::Run stopped = runtime.WaitForStop(second);
  EXPECT_EQ(LimitOf(stopped), "STOP_REASON_TIMEOUT deadline");
  EXPECT_GE(FromProto(stopped.stop_time()), absl::FromUnixMicros(absl::ToUnixMicros(deadline)));
  EXPECT_THAT(Kinds(runtime.Events(second)), ElementsAre(v1::Event::kRunCreated, v1::Event::kRunStopped)) << "it never began";
  EXPECT_EQ(Get(runtime, first).state(), v1::RUN_STATE_RUNNING);
}

TEST_F(DeadlineTest, ARunThatBeginsInTimeIsNotWokenForItsDeadline) {
  TestRuntime runtime(Config());
  const std::string first = Hang(runtime);
  const std::string second = Submit(runtime, "work", absl::Now() + absl::Hours(1));
  released_.Open();
  EXPECT_EQ(runtime.WaitForStop(first).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(runtime.WaitForStop(second).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

// Its row tells it, whether the deadline passed while no server was there or comes later.
TEST_F(DeadlineTest, ARestartKeepsTheDeadlinesOfTheQueue) {
  for (const absl::Duration ahead : {absl::Hours(2), absl::Hours(1) - absl::Milliseconds(300)}) {
    std::string first, second;
    {
      TestRuntime runtime(Config());
      first = Hang(runtime);
      second = Submit(runtime, "work", absl::Now() + absl::Hours(1));
    }
    TestRuntime::Config config = Config();
    config.clock_ahead = ahead;
    TestRuntime runtime(std::move(config));
    EXPECT_EQ(LimitOf(runtime.WaitForStop(second)), "STOP_REASON_TIMEOUT deadline");
    AwaitState(runtime, first, v1::RUN_STATE_RUNNING);
    ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(first), {.cause = ""}, Caller())).ok());
    EXPECT_THAT(order(), ::testing::Each("hang"));
  }
}

// More than kPromisedMax.
TEST_F(DeadlineTest, ManyAtOneMomentStopAll) {
  std::string first;
  std::vector<std::string> names;
  {
    TestRuntime runtime(Config());
    first = Hang(runtime);
    const absl::Time deadline = absl::Now() + absl::Hours(1);
    for (int i = 0; i < kPromisedMax + 500; ++i) names.push_back(Submit(runtime, "work", deadline));
  }
  TestRuntime::Config config = Config();
  config.clock_ahead = absl::Hours(2);
  TestRuntime runtime(std::move(config));
  for (const std::string& name : names) ASSERT_EQ(LimitOf(runtime.WaitForStop(name)), "STOP_REASON_TIMEOUT deadline");
  AwaitState(runtime, first, v1::RUN_STATE_RUNNING);
  EXPECT_THAT(order(), ::testing::Each("hang"));
}

// The default is recorded at its time. What comes behind it is work, and waits for its turn.
TEST_F(DeadlineTest, AWaitExpiresWhileOthersHoldThePlaces) {
  call_wait_ = absl::Seconds(2);
  TestRuntime runtime(Config());
  const std::string second = Submit(runtime, "ask");
  AwaitState(runtime, second, v1::RUN_STATE_WAITING);
  const std::string first = Hang(runtime);
  AwaitKind(runtime, second, v1::Event::kCallFinished);
  const std::vector<EventPtr> events = runtime.Events(second);
  EXPECT_EQ(events.back()->call_finished().outcome(), v1::CALL_OUTCOME_DENIED);
  testing::AwaitThat("only the first run has a session", [&] { return runtime.Await(runtime->GetInfo())->sessions == 1; });
  EXPECT_EQ(Get(runtime, second).state(), v1::RUN_STATE_RUNNING);
  EXPECT_THAT(order(), ElementsAre("ask", "hang")) << "it holds no place";
  EXPECT_EQ(Get(runtime, first).state(), v1::RUN_STATE_RUNNING);
  released_.Open();
  EXPECT_EQ(runtime.WaitForStop(second).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_THAT(order(), ElementsAre("ask", "hang", "ask"));
}

// Its next try lies behind the expiry, or before it and then waits for a place: neither keeps what was promised for the expiry.
class DeadlineBesideARetryTest : public DeadlineTest, public ::testing::WithParamInterface<absl::Duration> {};

TEST_P(DeadlineBesideARetryTest, AWaitExpires) {
  call_wait_ = absl::Seconds(3);
  retry_after_ = GetParam();
  TestRuntime runtime(Config());
  const std::string second = Submit(runtime, "look");
  AwaitState(runtime, second, v1::RUN_STATE_RUNNING);
  const std::string first = Hang(runtime);
  testing::AwaitThat("the call is denied", [&] {
    const std::vector<EventPtr> events = runtime.Events(second);
    return std::any_of(events.begin(), events.end(), [](const EventPtr& event) { return event->call_finished().outcome() == v1::CALL_OUTCOME_DENIED; });
  });
  EXPECT_EQ(Get(runtime, first).state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(Get(runtime, second).state(), v1::RUN_STATE_RUNNING);
}

INSTANTIATE_TEST_SUITE_P(Retry, DeadlineBesideARetryTest, ::testing::Values(absl::Minutes(5), absl::Seconds(2)),
                         [](const auto& retry) { return retry.param < absl::Minutes(1) ? "BeforeTheExpiry" : "BehindTheExpiry"; });

// By the clock as it is now, its earliest start is still to come.
TEST_F(DeadlineTest, AWaitExpiresInARunThatBeganBeforeTheClockWasSetBack) {
  call_wait_ = absl::Seconds(2);
  TestRuntime::Config config = Config();
  config.clock_ahead = absl::Hours(2);
  TestRuntime runtime(std::move(config));
  before_asking_ = [&runtime] { runtime.SetClock(absl::ZeroDuration()); };
  CreateRequest request = runtime.Request("ask");
  *request.run.mutable_not_before_time() = ToProto(absl::Now() + absl::Hours(1));
  const auto second = runtime.Await(runtime->CreateRun(std::move(request), Caller()));
  ASSERT_TRUE(second.ok()) << second.status();
  AwaitState(runtime, second->name(), v1::RUN_STATE_WAITING);
  Hang(runtime);
  AwaitKind(runtime, second->name(), v1::Event::kCallFinished);
}

TEST_F(DeadlineTest, ARestartKeepsTheExpiry) {
  std::string first, second;
  {
    TestRuntime runtime(Config());
    second = Submit(runtime, "ask");
    AwaitState(runtime, second, v1::RUN_STATE_WAITING);
    first = Hang(runtime);
  }
  const int asked = asked_.value();
  TestRuntime::Config config = Config();
  config.clock_ahead = absl::Hours(2);
  TestRuntime runtime(std::move(config));
  ASSERT_TRUE(asked_.Await(asked + 1));
  AwaitKind(runtime, second, v1::Event::kCallFinished);
  EXPECT_THAT(order(), ElementsAre("ask", "hang", "hang"));
  released_.Open();
  EXPECT_EQ(runtime.WaitForStop(second).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(DeadlineTest, ATimeoutEndsARunThatSleepsWhileOthersHoldThePlaces) {
  TestRuntime runtime(Config());
  const std::string second = Submit(runtime, "retry", absl::InfiniteFuture(), absl::Seconds(1));
  AwaitKind(runtime, second, v1::Event::kModelFailed);
  const std::string first = Hang(runtime);
  EXPECT_EQ(LimitOf(runtime.WaitForStop(second)), "STOP_REASON_TIMEOUT timeout");
  EXPECT_EQ(Get(runtime, first).state(), v1::RUN_STATE_RUNNING);
}

// Queueing is no active time: what fell due meanwhile goes on when its turn comes.
TEST_F(DeadlineTest, TheTimeoutStandsStillWhileARunWaitsForItsPlace) {
  retry_after_ = absl::Milliseconds(200);
  const absl::Duration timeout = absl::Seconds(2);
  TestRuntime runtime(Config());
  const std::string second = Submit(runtime, "retry", absl::InfiniteFuture(), timeout);
  AwaitKind(runtime, second, v1::Event::kModelFailed);
  const std::string first = Hang(runtime);
  const absl::Time retry = FromProto(runtime.Events(second).back()->model_failed().retry_time());
  testing::AwaitThat("it would be over", [&] { return absl::Now() > retry + timeout; });
  EXPECT_EQ(Get(runtime, second).state(), v1::RUN_STATE_RUNNING);
  released_.Open();
  EXPECT_EQ(runtime.WaitForStop(second).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

// A caller could have its run begin out of turn, by a command that is refused.
TEST_F(DeadlineTest, ACommandDoesNotBeginARunThatIsQueued) {
  TestRuntime runtime(Config());
  const std::string first = Hang(runtime);
  const std::string second = Submit(runtime, "work", absl::Now() + absl::Hours(1));
  v1::CallAnswer answer;
  answer.mutable_give_up();
  const ResolveRequest request = {.call = {1, 1}, .answer = std::move(answer), .request_id = "", .request_hash = ""};
  EXPECT_EQ(runtime.Await(runtime->ResolveCall(*ParseRunName(second), request, Caller())).status().code(), absl::StatusCode::kNotFound);
  testing::AwaitThat("only the first run has a session", [&] { return runtime.Await(runtime->GetInfo())->sessions == 1; });
  EXPECT_EQ(Get(runtime, second).state(), v1::RUN_STATE_QUEUED);
  EXPECT_THAT(order(), ElementsAre("hang"));
  released_.Open();
  EXPECT_EQ(runtime.WaitForStop(second).stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << "it kept its place in the queue";
}

// Makes runs, and says so when the test wants.
class LateStore final : public testing::ForwardingStore {
 public:
  LateStore(std::unique_ptr<Store> store, testing::Counter& made) : ForwardingStore(std::move(store)), made_(made) {}
  void Create(NewRun run, CreateDone done) override {
    if (!is_late_) return ForwardingStore::Create(std::move(run), std::move(done));
    ForwardingStore::Create(std::move(run), [this, done = std::move(done)](CreateOutcome outcome) mutable {
      done_ = [done = std::move(done), outcome]() mutable { done(outcome); };
      made_.Add();
    });
  }
  void BeLate() { is_late_ = true; }
  void Tell() { done_(); }

 private:
  std::atomic<bool> is_late_ = false;
  testing::Counter& made_;
  absl::AnyInvocable<void()> done_;
};

// What others find in the store they may command before its maker hears that it is there.
TEST_F(DeadlineTest, AWaitExpiresInARunThatACommandTookUpBeforeItsCreateWasTold) {
  call_wait_ = absl::Seconds(1);
  testing::Counter made;
  LateStore* store = nullptr;
  TestRuntime::Config config = Config();
  std::static_pointer_cast<testing::FakeModel>(config.models[0])->mutable_info().local = false;  // a session that is lost asks nothing
  config.wrap_store = [&](std::unique_ptr<Store> wrapped) {
    auto late = std::make_unique<LateStore>(std::move(wrapped), made);
    store = late.get();
    return late;
  };
  TestRuntime runtime(std::move(config));
  const std::string first = Hang(runtime);  // with a free place it would begin before it is made
  store->BeLate();
  auto created = std::async(std::launch::async, [&] { return Submit(runtime, "ask"); });
  ASSERT_TRUE(made.Await(1));
  const auto found = runtime.Await(runtime->ListRuns({}));
  ASSERT_TRUE(found.ok() && found->first.size() == 2);
  const std::string name = found->first[0].name() == first ? found->first[1].name() : found->first[0].name();
  released_.Open();
  AwaitState(runtime, first, v1::RUN_STATE_STOPPED);
  runtime.AwaitNoSession();
  InputRequest more;
  more.input.emplace_back().set_text("more");
  ASSERT_TRUE(runtime.Await(runtime->SendInput(*ParseRunName(name), more, Caller())).ok());
  AwaitState(runtime, name, v1::RUN_STATE_WAITING);
  runtime.AwaitNoSession();
  store->Tell();
  EXPECT_EQ(created.get(), name);
  AwaitState(runtime, name, v1::RUN_STATE_STOPPED);  // denied as the wait expired
  EXPECT_EQ(Get(runtime, name).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

}  // namespace
}  // namespace agentruntime
