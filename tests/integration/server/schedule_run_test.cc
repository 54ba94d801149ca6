// Priorities and start times of a real server.
#include "absl/time/clock.h"
#include "proto/util/time.h"
#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

TEST(ScheduleRunTest, ARunBeginsAtItsTimeAlsoAfterAKill) {
  TestServer server;
  server.Start();
  ASSERT_TRUE(server.running());
  const absl::Time not_before = absl::FromUnixMillis(absl::ToUnixMillis(absl::Now()) + 1500);
  v1::CreateRunRequest request = Submit("add");
  request.mutable_run()->set_priority(7);
  *request.mutable_run()->mutable_not_before_time() = ToProto(not_before);
  const auto created = Create(Stubs(server.Connect()), request);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->state(), v1::RUN_STATE_QUEUED);
  server.Kill();
  server.Start();
  const auto run = AwaitStop(Stubs(server.Connect()), created->name());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_GE(FromProto(run->start_time()), not_before);
  EXPECT_EQ(run->priority(), 7);
  EXPECT_EQ(FromProto(run->not_before_time()), not_before);
}

TEST(ScheduleRunTest, WhatCannotBeIsRefused) {
  TestServer server;
  server.Start();
  ASSERT_TRUE(server.running());
  const Stubs stubs(server.Connect());
  v1::CreateRunRequest request = Submit("add");
  request.mutable_run()->set_priority(11);
  const absl::Time now = absl::Now();
  *request.mutable_run()->mutable_not_before_time() = ToProto(now + absl::Hours(2));
  *request.mutable_run()->mutable_deadline() = ToProto(now + absl::Hours(1));
  EXPECT_EQ(Say(Create(stubs, request).status()),
            "INVALID_ARGUMENT INVALID_FIELD: run.priority: 11 is not in -10 to 10; run.deadline: does not lie behind not_before_time, so the run could never "
            "begin; give a later one");
  request.mutable_run()->clear_priority();
  request.mutable_run()->clear_deadline();
  *request.mutable_run()->mutable_not_before_time() = ToProto(now + absl::Hours(367 * 24));
  EXPECT_EQ(Say(Create(stubs, request).status()), "INVALID_ARGUMENT INVALID_FIELD: run.not_before_time: is more than 366 days ahead; submit the run later");
}

}  // namespace
}  // namespace agentruntime::testing
