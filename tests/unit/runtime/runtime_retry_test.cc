// The whole runtime over a real store: requests that are made again.
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::RuntimeTest;
using testing::Steps;
using testing::TestRuntime;

TEST_F(RuntimeTest, SameRequestIdIsTheSameRun) {
  TestRuntime runtime(Config(Steps(0, "")));
  CreateRequest request = runtime.Request();
  request.request_id = "job-1";
  request.request_hash = "hash";
  Caller caller;
  caller.tenant = "acme";
  const auto first = runtime.Await(runtime->CreateRun(request, caller));
  const auto second = runtime.Await(runtime->CreateRun(request, caller));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->name(), second->name());
  const v1::RunCreated created = runtime.Events(first->name()).at(0)->run_created();
  EXPECT_EQ(created.tenant(), "acme");
  EXPECT_EQ(created.request_id(), "job-1");
  EXPECT_EQ(created.request_hash(), "hash");
  request.request_hash = "other";
  const auto third = runtime.Await(runtime->CreateRun(request, caller));
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

// A run remembers so many requests, and no more: it would grow with them.
TEST_F(RuntimeTest, TheLastRequestsOfARunAreRemembered) {
  TestRuntime runtime(Config([](ModelRequest, DeltaSink&) { return testing::NeverDecides(); }));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok()) << run.status();
  const auto say = [&](int number) {
    InputRequest request;
    request.input.emplace_back().set_text("more");
    request.request_id = absl::StrCat("input-", number);
    request.request_hash = "hash";
    const auto told = runtime.Await(runtime->SendInput(*ParseRunName(run->name()), std::move(request), Caller()));
    EXPECT_TRUE(told.ok()) << told.status();
    const auto kinds = Kinds(runtime.Events(run->name()));
    return std::count(kinds.begin(), kinds.end(), v1::Event::kInputReceived);
  };
  for (int number = 0; number <= kRequestIdsPerRunMax; ++number) EXPECT_EQ(say(number), number + 1);
  EXPECT_EQ(say(1), kRequestIdsPerRunMax + 1) << "the oldest that is remembered";
  EXPECT_EQ(say(0), kRequestIdsPerRunMax + 2) << "forgotten, so it is a new request";
}

}  // namespace
}  // namespace agentruntime
