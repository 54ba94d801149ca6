// Which run begins when: priorities, and runs that wait for their time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/view.h"
#include "tests/support/await.h"
#include "tests/support/counter.h"
#include "tests/support/journal.h"
#include "tests/support/latch.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::FakeModel;
using testing::Journal;
using testing::RuntimeTest;
using testing::TestRuntime;

v1::Run Get(TestRuntime& runtime, const std::string& name) { return *runtime.Await(runtime->GetRun(*ParseRunName(name), absl::ZeroDuration())); }

// A run that may not begin before `not_before`.
Journal Sleeping(absl::Time not_before) {
  Journal journal;
  v1::Event created = *journal.events[0];
  *created.mutable_run_created()->mutable_not_before_time() = ToProto(not_before);
  journal.state = RunState();
  journal.events.clear();
  journal.Add(std::move(created));
  return journal;
}

class SleepTest : public ::testing::Test {
 protected:
  std::shared_ptr<RunPlan> plan = testing::MakePlan(std::make_shared<FakeModel>());
};

TEST_F(SleepTest, ARunStaysQueuedUntilItsTime) {
  Journal journal = Sleeping(Journal().now + absl::Minutes(5));
  const Next next = journal.WhatNext(*plan);
  EXPECT_TRUE(next.facts.empty());
  EXPECT_EQ(next.wake, absl::Minutes(5));
  EXPECT_EQ(ProjectionOf(journal.state).wake_time, journal.now + absl::Minutes(5)) << "whoever has it out of memory knows when";
  journal.now += absl::Minutes(5);
  journal.Settle(*plan);
  EXPECT_TRUE(journal.state.model.open);
  EXPECT_EQ(ProjectionOf(journal.state).wake_time, std::nullopt);
}

TEST_F(SleepTest, WhatFailedWaitsForItsNextTry) {
  Journal journal;
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.model.open);
  EXPECT_EQ(ProjectionOf(journal.state).wake_time, std::nullopt) << "an attempt is under way";
  const absl::Time retry = journal.now + absl::Minutes(2);
  v1::Event failed;
  failed.set_step(1);
  failed.mutable_model_failed()->set_attempt(1);
  failed.mutable_model_failed()->mutable_error()->set_reason("MODEL_UNAVAILABLE");
  *failed.mutable_model_failed()->mutable_retry_time() = ToProto(retry);
  journal.Add(std::move(failed));
  EXPECT_EQ(ProjectionOf(journal.state).wake_time, retry);
  EXPECT_EQ(journal.WhatNext(*plan).wake, absl::Minutes(2));
  journal.now = retry;
  journal.Settle(*plan);
  EXPECT_TRUE(journal.state.model.open);
  EXPECT_EQ(ProjectionOf(journal.state).wake_time, std::nullopt);
}

TEST_F(SleepTest, ACancelStopsItBeforeItsTime) {
  Journal journal = Sleeping(Journal().now + absl::Minutes(5));
  v1::Event cancel;
  cancel.mutable_cancel_requested()->mutable_cancellation()->set_principal("local");
  journal.Add(std::move(cancel));
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_CANCELLED);
}

class ScheduleTest : public RuntimeTest {
 protected:
  // Whose model notes what it is asked, and answers; "block" is held back until `released`.
  TestRuntime::Config Config() {
    return RuntimeTest::Config([this](ModelRequest request, DeltaSink&) -> asio::awaitable<ModelOutcome> {
      const std::string asked = (*std::get<UserMessage>(request.messages[0]).parts)[0].text();
      {
        MutexLock lock(mu_);
        order_.push_back(asked);
      }
      asked_.Add();
      if (asked == "block" && !co_await released_.Opened()) co_return testing::ModelError("INTERRUPTED", false);
      co_return Answer("done");
    });
  }
  static std::string Submit(TestRuntime& runtime, const std::string& input, int32_t priority, std::optional<absl::Time> not_before = std::nullopt) {
    CreateRequest request = runtime.Request(input);
    request.run.set_priority(priority);
    if (not_before) *request.run.mutable_not_before_time() = ToProto(*not_before);
    const auto run = runtime.Await(runtime->CreateRun(std::move(request), Caller()));
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? run->name() : "";
  }
  std::vector<std::string> order() {
    MutexLock lock(mu_);
    return order_;
  }

  testing::Counter asked_;
  testing::Latch released_;

 private:
  Mutex mu_;
  std::vector<std::string> order_ ABSL_GUARDED_BY(mu_);
};

TEST_F(ScheduleTest, OfRunsThatWaitTheHigherPriorityGoesFirst) {
  TestRuntime::Config config = Config();
  config.options.running_max = 1;
  TestRuntime runtime(std::move(config));
  Submit(runtime, "block", 0);
  ASSERT_TRUE(asked_.Await(1));
  std::vector<std::string> names;
  for (const auto& [input, priority] : {std::pair("low", -5), std::pair("normal", 0), std::pair("high", 5)}) names.push_back(Submit(runtime, input, priority));
  EXPECT_EQ(Get(runtime, names[2]).priority(), 5);
  released_.Open();
  for (const std::string& name : names) runtime.WaitForStop(name);
  EXPECT_THAT(order(), ::testing::ElementsAre("block", "high", "normal", "low"));
  // Out of the store's columns. By name: runs of one millisecond are listed in no order.
  const auto listed = runtime.Await(runtime->ListRuns(RunQuery()));
  for (const v1::Run& run : listed->first) {
    if (run.name() == names[2]) EXPECT_EQ(run.priority(), 5);
  }
  EXPECT_EQ(listed->first.size(), 4);
}

TEST_F(ScheduleTest, ARestartKeepsTheOrder) {
  std::vector<std::string> names;
  for (const bool restarted : {false, true}) {
    TestRuntime::Config config = Config();
    config.options.running_max = 1;
    if (restarted) released_.Open();
    TestRuntime runtime(std::move(config));
    if (!restarted) {
      names.push_back(Submit(runtime, "block", 0));
      ASSERT_TRUE(asked_.Await(1));
      for (const auto& [input, priority] : {std::pair("low", -5), std::pair("normal", 0), std::pair("high", 5)}) {
        names.push_back(Submit(runtime, input, priority));
      }
      continue;
    }
    for (const std::string& name : names) runtime.WaitForStop(name);
  }
  EXPECT_THAT(order(), ::testing::ElementsAre("block", "high", "block", "normal", "low"));
}

TEST_F(ScheduleTest, ARunWaitsForItsTimeOutOfMemory) {
  TestRuntime runtime(Config());
  const absl::Time not_before = absl::FromUnixMillis(absl::ToUnixMillis(absl::Now()) + 300);
  const std::string name = Submit(runtime, "later", 0, not_before);
  const v1::Run queued = Get(runtime, name);
  EXPECT_EQ(queued.state(), v1::RUN_STATE_QUEUED);
  EXPECT_EQ(FromProto(queued.not_before_time()), not_before);
  runtime.AwaitNoSession();
  const v1::Run stopped = runtime.WaitForStop(name);
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_GE(FromProto(stopped.start_time()), not_before);
}

TEST_F(ScheduleTest, ARestartKeepsTheTime) {
  std::string name;
  const absl::Time not_before = absl::Now() + absl::Milliseconds(400);
  {
    TestRuntime runtime(Config());
    name = Submit(runtime, "later", 0, not_before);
  }
  TestRuntime runtime(Config());
  const v1::Run stopped = runtime.WaitForStop(name);
  EXPECT_GE(FromProto(stopped.start_time()), absl::FromUnixMicros(absl::ToUnixMicros(not_before)));
  EXPECT_EQ(order().size(), 1);
}

// Clients tell times in nanoseconds, rows and journals keep microseconds: a run is not damaged by what is lost between them.
TEST_F(ScheduleTest, ATimeFinerThanAMicrosecondIsKept) {
  const auto fine = [](absl::Duration ahead) {
    google::protobuf::Timestamp time = ToProto(absl::Now() + ahead);
    time.set_nanos(time.nanos() + 789);
    return time;
  };
  TestRuntime runtime(Config());
  CreateRequest request = runtime.Request("later");
  *request.run.mutable_not_before_time() = fine(absl::Hours(1));
  *request.run.mutable_deadline() = fine(absl::Hours(2));
  const auto created = runtime.Await(runtime->CreateRun(std::move(request), Caller()));
  ASSERT_TRUE(created.ok()) << created.status();
  runtime.AwaitNoSession();
  const auto cancelled = runtime.Await(runtime->CancelRun(*ParseRunName(created->name()), {.cause = ""}, Caller()));
  EXPECT_TRUE(cancelled.ok()) << cancelled.status();
}

TEST_F(ScheduleTest, ARunThatSleepsTakesInputAndACancel) {
  TestRuntime runtime(Config());
  const std::string name = Submit(runtime, "later", 0, absl::Now() + absl::Hours(1));
  InputRequest more;
  more.input.emplace_back().set_text("more");
  const auto told = runtime.Await(runtime->SendInput(*ParseRunName(name), more, Caller()));
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_EQ(told->state(), v1::RUN_STATE_QUEUED);
  runtime.AwaitNoSession();
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(name), {.cause = ""}, Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_TRUE(order().empty());
}

// A model that fails once, and asks to be left alone for `retry_after`.
FakeModel::Behaviour FailsOnce(absl::Duration retry_after) {
  return [retry_after](ModelRequest request, DeltaSink&) {
    ModelOutcome failed = testing::ModelError("MODEL_UNAVAILABLE", /*retryable=*/true);
    failed.retry_after = retry_after;
    return testing::Immediately(request.attempt == 1 ? std::move(failed) : Answer("done"));
  };
}

TEST_F(RuntimeTest, ARunWaitsForItsNextTryOutOfMemory) {
  TestRuntime::Config config = Config(FailsOnce(absl::Milliseconds(300)));
  config.options.stay_max = absl::ZeroDuration();
  TestRuntime runtime(std::move(config));
  const auto created = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(created.ok()) << created.status();
  ASSERT_EQ(runtime.WaitForStop(created->name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  const std::vector<EventPtr> events = runtime.Events(created->name());
  EXPECT_THAT(Kinds(events), ::testing::ElementsAre(v1::Event::kRunCreated, v1::Event::kRunStarted, v1::Event::kModelCalled, v1::Event::kModelFailed,
                                                    v1::Event::kModelCalled, v1::Event::kDecisionMade, v1::Event::kRunStopped));
  const v1::Event& failed = *events[3];
  EXPECT_GE(FromProto(events[4]->time()), FromProto(failed.model_failed().retry_time()));
  // Out of memory or not: it is under way all the while.
  EXPECT_GE(events[4]->active_us() - failed.active_us(), absl::ToInt64Microseconds(absl::Milliseconds(300)));
}

TEST_F(RuntimeTest, ARunThatIsToTryAgainHasNoSession) {
  TestRuntime runtime(Config(FailsOnce(absl::Minutes(5))));
  const auto created = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(created.ok()) << created.status();
  const auto failed = [&] {
    const auto kinds = Kinds(runtime.Events(created->name()));
    return !kinds.empty() && kinds.back() == v1::Event::kModelFailed;
  };
  testing::AwaitThat("the model has failed", failed);  // nothing says so but the journal
  runtime.AwaitNoSession();
  const v1::Run waiting = Get(runtime, created->name());
  EXPECT_EQ(waiting.state(), v1::RUN_STATE_RUNNING);
  EXPECT_TRUE(waiting.activity().has_next_try_time());
  InputRequest more;
  more.input.emplace_back().set_text("more");
  ASSERT_TRUE(runtime.Await(runtime->SendInput(IdOf(*created), more, Caller())).ok());
  runtime.AwaitNoSession();
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(IdOf(*created), {.cause = ""}, Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(created->name()).stop().reason(), v1::STOP_REASON_CANCELLED);
}

TEST_F(RuntimeTest, TheTimeoutGoesOnOutOfMemory) {
  TestRuntime::Config config = Config(FailsOnce(absl::Minutes(5)));
  config.options.stay_max = absl::ZeroDuration();
  TestRuntime runtime(std::move(config));
  CreateRequest request = runtime.Request();
  *request.run.mutable_limits()->mutable_timeout() = ToProto(absl::Milliseconds(200));
  EXPECT_EQ(runtime.RunToStop(std::move(request)).stop().reason(), v1::STOP_REASON_TIMEOUT);
}

// It shows as RUNNING all the while, and only the time in which no server was there does not count.
TEST_F(RuntimeTest, TheTimeoutGoesOnOutOfMemoryAfterARestart) {
  const absl::Duration timeout = absl::Seconds(2);
  std::string name;
  {
    TestRuntime runtime(Config(FailsOnce(absl::Minutes(5))));
    CreateRequest request = runtime.Request();
    *request.run.mutable_limits()->mutable_timeout() = ToProto(timeout);
    const auto created = runtime.Await(runtime->CreateRun(std::move(request), Caller()));
    ASSERT_TRUE(created.ok()) << created.status();
    name = created->name();
    testing::AwaitThat("the model has failed", [&] { return Kinds(runtime.Events(name)).back() == v1::Event::kModelFailed; });
  }
  TestRuntime runtime(Config(FailsOnce(absl::Minutes(5))));
  const v1::Run stopped = runtime.WaitForStop(name);
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_TIMEOUT);
  EXPECT_GE(stopped.stop().limit().count(), absl::ToInt64Milliseconds(timeout));
  const std::vector<EventPtr> events = runtime.Events(name);
  ASSERT_THAT(Kinds(events), ::testing::ElementsAre(v1::Event::kRunCreated, v1::Event::kRunStarted, v1::Event::kModelCalled, v1::Event::kModelFailed,
                                                    v1::Event::kRunStarted, v1::Event::kRunStopped));
  EXPECT_GE(events[4]->active_us(), absl::ToInt64Microseconds(timeout)) << "it was taken up when its time was over";
}

TEST_F(RuntimeTest, ARestartKeepsTheTimeOfTheNextTry) {
  const absl::Duration after = absl::Milliseconds(600);
  std::string name;
  {
    TestRuntime runtime(Config(FailsOnce(after)));
    const auto created = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    ASSERT_TRUE(created.ok()) << created.status();
    name = created->name();
    const auto failed = [&] { return Kinds(runtime.Events(name)).back() == v1::Event::kModelFailed; };
    testing::AwaitThat("the model has failed", failed);
  }
  TestRuntime runtime(Config(FailsOnce(after)));
  EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  const std::vector<EventPtr> events = runtime.Events(name);
  ASSERT_EQ(events[4]->kind_case(), v1::Event::kRunStarted);
  EXPECT_GE(FromProto(events[4]->time()), FromProto(events[3]->model_failed().retry_time())) << "there was nothing to do before";
}

TEST_F(ScheduleTest, RunsThatSleepCountAgainstTheQueue) {
  TestRuntime::Config config = Config();
  config.options.queued_max = 1;
  TestRuntime runtime(std::move(config));
  const std::string name = Submit(runtime, "later", 0, absl::Now() + absl::Hours(1));
  const auto refused = [&] { return runtime.Await(runtime->CreateRun(runtime.Request(), Caller())).status(); };
  EXPECT_EQ(ReasonOf(refused()), v1::ERROR_REASON_QUEUE_FULL);
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(name), {.cause = ""}, Caller())).ok());
  EXPECT_TRUE(refused().ok()) << "there is room again";
}

TEST_F(ScheduleTest, ATimeTooFarAheadIsRefused) {
  TestRuntime runtime(Config());
  CreateRequest request = runtime.Request();
  *request.run.mutable_not_before_time() = ToProto(absl::Now() + kNotBeforeMax + absl::Minutes(1));
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->CreateRun(request, Caller())).status()), v1::ERROR_REASON_INVALID_FIELD);
}

}  // namespace
}  // namespace agentruntime
