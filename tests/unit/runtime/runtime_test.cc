// The whole runtime over a real store: the loop, control, recovery and watching.
#include "runtime/runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/this_coro.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agentruntime/v1/run_service.pb.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "tests/support/test_runtime.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::Calls;
using testing::Done;
using testing::FakeModel;
using testing::FakeTool;
using testing::ModelError;
using testing::TestRuntime;

asio::awaitable<ModelOutcome> Immediately(ModelOutcome outcome) { co_return outcome; }
asio::awaitable<ToolOutcome> Immediately(ToolOutcome outcome) { co_return outcome; }

// Until the attempt is cancelled.
asio::awaitable<void> Forever() {
  SystemTimers timers;
  co_await timers.Sleep(absl::Hours(1));
}

asio::awaitable<ModelOutcome> NeverDecides() {
  co_await Forever();
  co_return ModelError("INTERRUPTED", false);
}

asio::awaitable<ModelOutcome> DecidesAfter(absl::Duration delay, ModelOutcome outcome) {
  SystemTimers timers;
  co_await timers.Sleep(delay);
  co_return outcome;
}

// `steps` decisions with one call of `tool` each, then the answer.
FakeModel::Behaviour Steps(int steps, std::string tool) {
  return [steps, tool](ModelRequest request, DeltaSink&) { return Immediately(request.step <= steps ? Calls({{tool, "{}"}}) : Answer("done")); };
}

class RuntimeTest : public ::testing::Test {
 protected:
  TestRuntime::Config Config(FakeModel::Behaviour behaviour, std::vector<std::shared_ptr<Tool>> tools = {}) {
    TestRuntime::Config config;
    config.models.push_back(std::make_shared<FakeModel>(std::move(behaviour)));
    config.tools = std::move(tools);
    config.path = dir_.File("test.db");
    return config;
  }
  static std::shared_ptr<FakeTool> Echo() {
    return std::make_shared<FakeTool>("echo", v1::SIDE_EFFECT_READ_ONLY,
                                      [](ToolRequest request, ProgressSink&) { return Immediately(Done("echo " + request.call.ToString())); });
  }
  static std::vector<v1::Event::KindCase> Kinds(const std::vector<EventPtr>& events) {
    std::vector<v1::Event::KindCase> kinds;
    for (const EventPtr& event : events) kinds.push_back(event->kind_case());
    return kinds;
  }

  TempDir dir_;
};

TEST_F(RuntimeTest, ExampleRunIsNineEventsInOrder) {
  TestRuntime runtime(Config(Steps(1, "echo"), {Echo()}));
  const v1::Run run = runtime.RunToStop();
  EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
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

TEST_F(RuntimeTest, CancelAbortsTheModelRequest) {
  std::atomic<bool> asked = false;
  TestRuntime runtime(Config([&asked](ModelRequest, DeltaSink&) {
    asked = true;
    asked.notify_all();
    return NeverDecides();
  }));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok());
  asked.wait(false);
  const auto cancelled = runtime.Await(runtime->CancelRun(*ParseRunName(run->name()), "enough", Caller()));
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  const v1::Run stopped = runtime.WaitForStop(run->name());
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_EQ(stopped.stop().cancellation().cause(), "enough");
  EXPECT_LT(FromProto(stopped.stop_time()) - FromProto(stopped.create_time()), kCancelGrace) << "it did not wait for the grace";
}

TEST_F(RuntimeTest, CancelAbortsTheRunningTool) {
  std::atomic<bool> running = false;
  TestRuntime runtime(Config(
      Steps(1, "hang"), {std::make_shared<FakeTool>("hang", v1::SIDE_EFFECT_UNSAFE, [&running](ToolRequest, ProgressSink&) -> asio::awaitable<ToolOutcome> {
        running = true;
        running.notify_all();
        co_await Forever();
        co_return ToolUnknown{"cancelled"};
      })}));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok());
  running.wait(false);
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(run->name()), "", Caller())).ok());
  const v1::Run stopped = runtime.WaitForStop(run->name());
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_CANCELLED);
  const auto events = runtime.Events(run->name());
  const auto finished = std::find_if(events.begin(), events.end(), [](const EventPtr& event) { return event->has_call_finished(); });
  ASSERT_NE(finished, events.end());
  EXPECT_EQ((*finished)->call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN) << "nobody knows whether it took effect";
}

TEST_F(RuntimeTest, CancelOfAStoppedRunReturnsIt) {
  TestRuntime runtime(Config(Steps(0, "")));
  const v1::Run run = runtime.RunToStop();
  const auto cancelled = runtime.Await(runtime->CancelRun(*ParseRunName(run.name()), "late", Caller()));
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
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

// A run whose first local step ends the process must be counted, or it would end every next one too: a loaded run waits for its start to be durable.
TEST_F(RuntimeTest, ARunThatIsTakenUpAgainRecordsSoBeforeItsModelIsAsked) {
  std::atomic<bool> hold = true;
  std::atomic<int64_t> durable_when_asked = -1;
  TestRuntime* current = nullptr;
  const auto behaviour = [&](ModelRequest request, DeltaSink&) -> asio::awaitable<ModelOutcome> {
    if (hold) {
      co_await Forever();
      co_return ModelError("INTERRUPTED", false);
    }
    const auto events = current->store().ReadEvents(request.run, 0, ReadLimit());
    durable_when_asked = events.ok() ? static_cast<int64_t>(events->size()) : -2;
    co_return Answer("done");
  };
  std::string name;
  {
    TestRuntime runtime(Config(behaviour));
    const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    ASSERT_TRUE(run.ok());
    name = run->name();
    runtime.Stop(absl::ZeroDuration());
  }
  hold = false;
  auto config = Config(behaviour);
  std::atomic<bool> ready = false;
  config.models[0] = std::make_shared<FakeModel>([&](ModelRequest request, DeltaSink& deltas) -> asio::awaitable<ModelOutcome> {
    ready.wait(false);
    co_return co_await behaviour(std::move(request), deltas);
  });
  TestRuntime runtime(std::move(config));
  current = &runtime;
  ready = true;
  ready.notify_all();
  const v1::Run stopped = runtime.WaitForStop(name);
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  const auto events = runtime.Events(name);
  const auto last_start = std::find_if(events.rbegin(), events.rend(), [](const EventPtr& event) { return event->has_run_started(); });
  EXPECT_GE(durable_when_asked, (*last_start)->sequence());
}

TEST_F(RuntimeTest, ResumeRaisesTheLimitAndRunsNoStepTwice) {
  std::atomic<int> decisions = 0;
  TestRuntime runtime(Config(
      [&decisions](ModelRequest request, DeltaSink&) {
        ++decisions;
        return Immediately(request.step <= 3 ? Calls({{"echo", "{}"}}) : Answer("done"));
      },
      {Echo()}));
  CreateRequest request = runtime.Request();
  request.run.mutable_limits()->set_max_steps(2);
  const v1::Run stopped = runtime.RunToStop(std::move(request));
  ASSERT_EQ(stopped.stop().reason(), v1::STOP_REASON_MAX_STEPS);
  const RunId id = *ParseRunName(stopped.name());

  auto refused = runtime.Await(runtime->ResumeRun(id, ResumeRequest(), Caller()));
  EXPECT_EQ(ReasonOf(refused.status()), v1::ERROR_REASON_LIMIT_NOT_RAISED);
  ResumeRequest resume;
  resume.limits.set_max_steps(10);
  resume.request_id = "resume-1";
  resume.request_hash = "hash";
  auto resumed = runtime.Await(runtime->ResumeRun(id, resume, Caller()));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  const v1::Run finished = runtime.WaitForStop(stopped.name());
  EXPECT_EQ(finished.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(finished.limits().max_steps(), 10);
  EXPECT_EQ(decisions, 4);

  auto retried = runtime.Await(runtime->ResumeRun(id, resume, Caller()));
  EXPECT_TRUE(retried.ok()) << "a retry of the same request: " << retried.status();
  resume.request_hash = "other";
  auto reused = runtime.Await(runtime->ResumeRun(id, resume, Caller()));
  EXPECT_EQ(ReasonOf(reused.status()), v1::ERROR_REASON_REQUEST_ID_REUSED);
  auto answered = runtime.Await(runtime->ResumeRun(id, ResumeRequest(), Caller()));
  EXPECT_EQ(ReasonOf(answered.status()), v1::ERROR_REASON_RUN_ANSWERED);
}

TEST_F(RuntimeTest, ResumeOfARunningRunIsRefused) {
  TestRuntime runtime(Config([](ModelRequest, DeltaSink&) { return NeverDecides(); }));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok());
  auto resumed = runtime.Await(runtime->ResumeRun(*ParseRunName(run->name()), ResumeRequest(), Caller()));
  EXPECT_EQ(ReasonOf(resumed.status()), v1::ERROR_REASON_RUN_NOT_STOPPED);
}

TEST_F(RuntimeTest, SameRequestIdIsTheSameRun) {
  TestRuntime runtime(Config(Steps(0, "")));
  CreateRequest request = runtime.Request();
  request.request_id = "job-1";
  request.request_hash = "hash";
  const auto first = runtime.Await(runtime->CreateRun(request, Caller()));
  const auto second = runtime.Await(runtime->CreateRun(request, Caller()));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->name(), second->name());
  request.request_hash = "other";
  const auto third = runtime.Await(runtime->CreateRun(request, Caller()));
  EXPECT_EQ(ReasonOf(third.status()), v1::ERROR_REASON_REQUEST_ID_REUSED);
}

// The caller's first answer was lost; before it asks again the agent, the maxima and the queue are others.
TEST_F(RuntimeTest, ARetryFindsItsRunAlsoWhereANewRunWouldBeRefused) {
  CreateRequest request;
  std::string name;
  {
    TestRuntime runtime(Config(Steps(0, "")));
    request = runtime.Request();
    request.run.mutable_limits()->set_max_steps(20);
    request.request_id = "job-1";
    request.request_hash = "hash";
    name = runtime.RunToStop(request).name();
  }
  CreateRequest fresh = request;
  fresh.request_id = "job-2";
  TestRuntime::Config config = Config(Steps(0, ""));
  config.options.maximum_limits = PublishedMaximumLimits();
  config.options.maximum_limits.set_max_steps(10);
  config.options.default_limits = config.options.maximum_limits;
  {
    TestRuntime lowered(config);
    EXPECT_EQ(ReasonOf(lowered.Await(lowered->CreateRun(fresh, Caller())).status()), v1::ERROR_REASON_INVALID_FIELD);
    const auto again = lowered.Await(lowered->CreateRun(request, Caller()));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->name(), name);
    const auto watch = lowered.Await(lowered->RunAgent(request, Caller(), /*include_deltas=*/false));
    EXPECT_TRUE(watch.ok()) << watch.status();
    CreateRequest other = request;
    other.request_hash = "other";
    EXPECT_EQ(ReasonOf(lowered.Await(lowered->CreateRun(other, Caller())).status()), v1::ERROR_REASON_REQUEST_ID_REUSED);
  }
  config = Config(Steps(0, ""));
  config.options.queued_max = 0;
  {
    TestRuntime full(config);
    EXPECT_EQ(ReasonOf(full.Await(full->CreateRun(fresh, Caller())).status()), v1::ERROR_REASON_QUEUE_FULL);
    EXPECT_TRUE(full.Await(full->CreateRun(request, Caller())).ok());
  }
  TestRuntime runtime(Config(Steps(0, "")));
  request.run.set_agent("agents/gone");  // what the catalogue does not know any more
  EXPECT_TRUE(runtime.Await(runtime->CreateRun(request, Caller())).ok());
  ASSERT_TRUE(runtime.Await(runtime->DeleteRun(*ParseRunName(name))).ok());
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->CreateRun(request, Caller())).status()), v1::ERROR_REASON_REQUEST_ID_REUSED);
}

TEST_F(RuntimeTest, ARetriedResumeIsAnsweredAlsoUnderALoweredMaximum) {
  ResumeRequest resume;
  resume.limits.set_max_steps(20);
  resume.request_id = "resume-1";
  resume.request_hash = "hash";
  RunId id;
  {
    TestRuntime runtime(Config(Steps(3, "echo"), {Echo()}));
    CreateRequest request = runtime.Request();
    request.run.mutable_limits()->set_max_steps(1);
    id = *ParseRunName(runtime.RunToStop(std::move(request)).name());
    ASSERT_TRUE(runtime.Await(runtime->ResumeRun(id, resume, Caller())).ok());
    runtime.WaitForStop(RunName(id));
  }
  TestRuntime::Config config = Config(Steps(3, "echo"), {Echo()});
  config.options.maximum_limits = PublishedMaximumLimits();
  config.options.maximum_limits.set_max_steps(10);
  config.options.default_limits = config.options.maximum_limits;
  TestRuntime lowered(config);
  const auto retried = lowered.Await(lowered->ResumeRun(id, resume, Caller()));
  EXPECT_TRUE(retried.ok()) << retried.status();
  resume.request_id = "resume-2";
  EXPECT_EQ(ReasonOf(lowered.Await(lowered->ResumeRun(id, resume, Caller())).status()), v1::ERROR_REASON_INVALID_FIELD);
}

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

// Reads a watch to its end.
struct Watched {
  std::vector<v1::Run> runs;
  std::vector<v1::Event> events;
  std::vector<v1::Delta> deltas;
  absl::Status end;
};
asio::awaitable<Watched> ReadAll(std::unique_ptr<Watch> watch) {
  Watched watched;
  for (;;) {
    auto next = co_await watch->Next();
    if (!next.ok()) {
      watched.end = std::move(next).status();
      co_return watched;
    }
    if (*next == nullptr) co_return watched;
    v1::WatchRunResponse response;
    EXPECT_TRUE(response.ParseFromString(**next));
    // A run behind the first is a bookmark: it never lies ahead of the events that were sent.
    if (response.has_run() && !watched.runs.empty() && !watched.events.empty()) {
      EXPECT_EQ(response.run().last_sequence(), watched.events.back().sequence());
    }
    if (response.has_run()) watched.runs.push_back(response.run());
    if (response.has_event()) watched.events.push_back(response.event());
    if (response.has_delta()) watched.deltas.push_back(response.delta());
  }
}

TEST_F(RuntimeTest, LiveAndReplayedWatchesShowTheSameJournal) {
  TestRuntime runtime(Config(
      [](ModelRequest request, DeltaSink& deltas) {
        deltas.Text("to");
        deltas.Text("ken");
        return DecidesAfter(absl::Milliseconds(5), request.step <= 5 ? Calls({{"echo", "{}"}}) : Answer("done"));
      },
      {Echo()}));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok());
  const RunId id = *ParseRunName(run->name());
  Watched live = runtime.Await(ReadAll(*runtime.Await(runtime->WatchRun(id, 0, true))));
  Watched replayed = runtime.Await(ReadAll(*runtime.Await(runtime->WatchRun(id, 0, true))));
  Watched rest = runtime.Await(ReadAll(*runtime.Await(runtime->WatchRun(id, 7, false))));
  ASSERT_TRUE(live.end.ok()) << live.end;
  ASSERT_EQ(live.events.size(), replayed.events.size());
  for (size_t i = 0; i < live.events.size(); ++i) {
    EXPECT_EQ(live.events[i].sequence(), static_cast<int64_t>(i + 1));
    EXPECT_EQ(live.events[i].SerializeAsString(), replayed.events[i].SerializeAsString());
  }
  EXPECT_TRUE(live.events.back().has_run_stopped());
  EXPECT_EQ(live.runs.back().state(), v1::RUN_STATE_STOPPED);
  EXPECT_EQ(live.runs.back().answer(0).text(), "done");
  EXPECT_FALSE(live.deltas.empty());
  EXPECT_TRUE(replayed.deltas.empty()) << "deltas are never stored";
  EXPECT_EQ(rest.events.front().sequence(), 8);
  EXPECT_EQ(rest.events.size() + 7, live.events.size());
}

TEST_F(RuntimeTest, WatchBeyondTheEndIsOutOfRange) {
  TestRuntime runtime(Config(Steps(0, "")));
  const v1::Run run = runtime.RunToStop();
  Watched watched = runtime.Await(ReadAll(*runtime.Await(runtime->WatchRun(*ParseRunName(run.name()), run.last_sequence() + 1, false))));
  EXPECT_EQ(ReasonOf(watched.end), v1::ERROR_REASON_SEQUENCE_BEYOND_END);
  Watched at_end = runtime.Await(ReadAll(*runtime.Await(runtime->WatchRun(*ParseRunName(run.name()), run.last_sequence(), false))));
  EXPECT_TRUE(at_end.end.ok());
  EXPECT_TRUE(at_end.events.empty());
}

// The restart is a drain without grace: attempts under way are cut off, nothing of them is recorded, and the next start takes the run up.
TEST_F(RuntimeTest, RestartGoesOnAndRepeatsNoSettledCall) {
  std::atomic<int> calls = 0;
  std::atomic<bool> hold = true;
  const auto behaviour = [&hold](ModelRequest request, DeltaSink&) -> asio::awaitable<ModelOutcome> {
    if (request.step == 11 && hold) {
      co_await Forever();
      co_return ModelError("INTERRUPTED", false);
    }
    co_return request.step <= 20 ? Calls({{"count", absl::StrCat(R"({"n":)", request.step, "}")}}) : Answer("done");
  };
  const auto count = [&calls] {
    return std::make_shared<FakeTool>("count", v1::SIDE_EFFECT_UNSAFE, [&calls](ToolRequest, ProgressSink&) {
      calls.fetch_add(1);
      calls.notify_all();
      return Immediately(Done("counted"));
    });
  };
  std::string name;
  Sequence seen = 0;
  {
    TestRuntime runtime(Config(behaviour, {count()}));
    const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    ASSERT_TRUE(run.ok());
    name = run->name();
    for (int now = calls; now < 10; now = calls) calls.wait(now);
    seen = runtime.Events(name).back()->sequence();
    runtime.Stop(absl::ZeroDuration());
  }
  hold = false;
  TestRuntime runtime(Config(behaviour, {count()}));
  const v1::Run run = runtime.WaitForStop(name);
  EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(run.usage().steps(), 21);
  EXPECT_EQ(calls, 20) << "each of the twenty calls ran once";
  Watched rest = runtime.Await(ReadAll(*runtime.Await(runtime->WatchRun(*ParseRunName(name), seen, false))));
  ASSERT_FALSE(rest.events.empty());
  EXPECT_EQ(rest.events.front().sequence(), seen + 1);
  const auto events = runtime.Events(name);
  EXPECT_EQ(std::count_if(events.begin(), events.end(), [](const EventPtr& event) { return event->has_run_started(); }), 2);
  std::set<std::string> settled;
  for (const EventPtr& event : events) {
    if (event->has_call_finished()) EXPECT_TRUE(settled.insert(event->call_finished().call_id()).second) << "settled twice";
  }
}

// The command comes to a session that has not yet said that it is the one now: what the server before left open must not be started for it.
TEST_F(RuntimeTest, ACancelAfterARestartStartsNothing) {
  std::atomic<int> asked = 0;
  const auto make = [&] {
    TestRuntime::Config config = Config([&asked](ModelRequest, DeltaSink&) {
      ++asked;
      return NeverDecides();
    });
    static_cast<FakeModel&>(*config.models.front()).mutable_info().local = false;
    return config;
  };
  std::string name;
  {
    TestRuntime runtime(make());
    name = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()))->name();
    while (asked == 0) continue;
  }
  TestRuntime::Config config = make();
  config.options.running_max = 0;  // so that the cancel is what takes the run up
  TestRuntime runtime(config);
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(name), "", Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_EQ(asked, 1);
  const auto events = runtime.Events(name);
  const auto first = std::find_if(events.begin(), events.end(), [&](const EventPtr& event) { return event->epoch() > events.front()->epoch(); });
  ASSERT_NE(first, events.end());
  EXPECT_TRUE((*first)->has_run_started()) << "what comes first in a new epoch settles the attempts of the one before";
}

TEST_F(RuntimeTest, DrainTellsWatchersWhereToGoOn) {
  TestRuntime runtime(Config([](ModelRequest, DeltaSink&) { return NeverDecides(); }));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok());
  auto watch = *runtime.Await(runtime->WatchRun(*ParseRunName(run->name()), 0, false));
  runtime.Await([](Runtime& target) -> asio::awaitable<bool> {
    co_await target.Drain(absl::ZeroDuration());
    co_return true;
  }(*runtime));
  Watched watched = runtime.Await(ReadAll(std::move(watch)));
  EXPECT_EQ(ReasonOf(watched.end), v1::ERROR_REASON_SERVER_DRAINING);
  EXPECT_FALSE(watched.events.empty());
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->CreateRun(runtime.Request(), Caller())).status()), v1::ERROR_REASON_SERVER_DRAINING);
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
    ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(name), "", Caller())).ok());
    EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_CANCELLED);
  }
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
  do {  // the session of the second run may be about to leave
    resumed = runtime.Await(runtime->ResumeRun(*ParseRunName(first.name()), more, Caller())).status();
  } while (ReasonOf(resumed) == v1::ERROR_REASON_QUEUE_FULL);
  ASSERT_TRUE(resumed.ok()) << resumed;
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->ResumeRun(*ParseRunName(second.name()), more, Caller())).status()), v1::ERROR_REASON_QUEUE_FULL);
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(first.name()), "", Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(first.name()).stop().reason(), v1::STOP_REASON_CANCELLED);
}

// Restarts without progress make suspects of runs that only wait for their model: each gets its turn, however long the model takes.
TEST_F(RuntimeTest, SuspectsAllGetTheirTurn) {
  constexpr int kRuns = 3;
  std::atomic<int> asked = 0;
  const auto behaviour = [&asked](ModelRequest, DeltaSink&) {
    asked.fetch_add(1);
    asked.notify_all();
    return NeverDecides();
  };
  const auto await_asked = [&asked](int count) {
    for (int now = asked; now < count; now = asked) asked.wait(now);
  };
  {
    TestRuntime runtime(Config(behaviour));
    for (int i = 0; i < kRuns; ++i) ASSERT_TRUE(runtime.Await(runtime->CreateRun(runtime.Request(), Caller())).ok());
    await_asked(kRuns);
  }
  for (int restart = 1; restart <= kBarrenStartsSuspect; ++restart) {
    asked = 0;
    TestRuntime runtime(Config(behaviour));
    await_asked(kRuns);
  }
  asked = 0;
  TestRuntime runtime(Config(behaviour));
  await_asked(1);
  await_asked(kRuns);
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

TEST_F(RuntimeTest, DeletedRunIsGone) {
  TestRuntime runtime(Config(Steps(0, "")));
  const v1::Run run = runtime.RunToStop();
  const RunId id = *ParseRunName(run.name());
  ASSERT_TRUE(runtime.Await(runtime->DeleteRun(id)).ok());
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->GetRun(id, absl::ZeroDuration())).status()), v1::ERROR_REASON_RUN_NOT_FOUND);
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->DeleteRun(id))), v1::ERROR_REASON_RUN_NOT_FOUND);
}

}  // namespace
}  // namespace agentruntime
