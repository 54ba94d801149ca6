// The whole runtime over a real store: runs that are cancelled, resumed and deleted.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/completion.h"
#include "tests/support/await.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::Calls;
using testing::Done;
using testing::FakeTool;
using testing::Forever;
using testing::Immediately;
using testing::NeverDecides;
using testing::RuntimeTest;
using testing::Steps;
using testing::TestRuntime;

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
  const auto cancelled = runtime.Await(runtime->CancelRun(*ParseRunName(run->name()), {.cause = "enough"}, Caller()));
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
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(run->name()), {.cause = ""}, Caller())).ok());
  const v1::Run stopped = runtime.WaitForStop(run->name());
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_CANCELLED);
  const auto events = runtime.Events(run->name());
  const auto finished = std::find_if(events.begin(), events.end(), [](const EventPtr& event) { return event->has_call_finished(); });
  ASSERT_NE(finished, events.end());
  EXPECT_EQ((*finished)->call_finished().outcome(), v1::CALL_OUTCOME_UNCERTAIN) << "nobody knows whether it took effect";
}

TEST_F(RuntimeTest, AResultThatComesAfterTheStopIsCounted) {
  std::atomic<bool> running = false;
  const auto go_on = std::make_shared<Completion<bool>>();  // whose wait no cancellation ends
  auto config =
      Config(Steps(1, "deaf"),
             {std::make_shared<FakeTool>("deaf", v1::SIDE_EFFECT_UNSAFE, [&running, go_on](ToolRequest, ProgressSink&) -> asio::awaitable<ToolOutcome> {
               running = true;
               running.notify_all();
               co_await go_on->Wait();
               co_return Done("it took effect");
             })});
  config.options.cancel_grace = absl::Milliseconds(1);
  TestRuntime runtime(std::move(config));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok());
  running.wait(false);
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(run->name()), {.cause = ""}, Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(run->name()).stop().reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_EQ(runtime.Await(runtime->GetInfo())->late_results, 0);
  go_on->Complete(true);
  int64_t late = 0;
  testing::AwaitThat("the late result is counted", [&] { return (late = runtime.Await(runtime->GetInfo())->late_results) > 0; });
  EXPECT_EQ(late, 1);
}

TEST_F(RuntimeTest, CancelOfAStoppedRunReturnsIt) {
  TestRuntime runtime(Config(Steps(0, "")));
  const v1::Run run = runtime.RunToStop();
  const auto cancelled = runtime.Await(runtime->CancelRun(*ParseRunName(run.name()), {.cause = "late"}, Caller()));
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(RuntimeTest, WhatDoesNotFitIntoAnEventIsRefused) {
  const std::string large(kEventBytesMax, 'x');
  TestRuntime runtime(Config(Steps(3, "echo"), {Echo()}));
  CreateRequest create = runtime.Request();
  create.run.mutable_limits()->set_max_steps(1);
  const auto run = runtime.Await(runtime->CreateRun(create, Caller()));
  ASSERT_TRUE(run.ok()) << run.status();
  runtime.WaitForStop(run->name());
  const RunId id = *ParseRunName(run->name());

  create.run.mutable_input(0)->set_text(large);
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->CreateRun(create, Caller())).status()), v1::ERROR_REASON_INVALID_FIELD);
  ForkRequest fork;
  fork.source = id;
  fork.input.emplace_back().set_text(large);
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->ForkRun(fork, Caller())).status()), v1::ERROR_REASON_INVALID_FIELD);
  ResumeRequest resume;
  resume.limits.set_max_steps(9);
  resume.input.emplace_back().set_text(large);
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->ResumeRun(id, resume, Caller())).status()), v1::ERROR_REASON_INVALID_FIELD);

  resume.input.clear();
  ASSERT_TRUE(runtime.Await(runtime->ResumeRun(id, resume, Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(run->name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
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
