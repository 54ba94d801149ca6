// CancelRun, ResumeRun, DeleteRun, GetRun with wait.
#include "absl/time/clock.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

using Stub = v1::RunService::Stub;

class ControlRunTest : public SharedServer {
 protected:
  static absl::StatusOr<v1::Run> Cancel(const std::string& name, const std::string& cause = "", const std::string& request_id = "") {
    v1::CancelRunRequest request;
    request.set_name(name);
    request.set_cause(cause);
    request.set_request_id(request_id);
    return Call(stubs().run, &Stub::CancelRun, request);
  }
  static absl::StatusOr<v1::Run> Resume(const std::string& name, int max_steps, const std::string& request_id = "") {
    v1::ResumeRunRequest request;
    request.set_name(name);
    if (max_steps > 0) request.mutable_limits()->set_max_steps(max_steps);
    request.set_request_id(request_id);
    return Call(stubs().run, &Stub::ResumeRun, request);
  }
  static absl::Status Delete(const std::string& name) {
    v1::DeleteRunRequest request;
    request.set_name(name);
    return Call(stubs().run, &Stub::DeleteRun, request).status();
  }
  static absl::StatusOr<v1::Run> Get(const std::string& name, int64_t wait_ms = 0) {
    v1::GetRunRequest request;
    request.set_name(name);
    request.mutable_wait()->set_seconds(wait_ms / 1000);
    request.mutable_wait()->set_nanos(static_cast<int32_t>(wait_ms % 1000 * 1'000'000));
    return Call(stubs().run, &Stub::GetRun, request);
  }
  // A run that stopped at two steps and would go on for a thousand.
  static v1::Run Limited() {
    v1::CreateRunRequest request = Submit("loop");
    request.mutable_run()->mutable_limits()->set_max_steps(2);
    const auto created = Create(stubs(), request);
    EXPECT_TRUE(created.ok()) << created.status();
    const auto run = AwaitStop(stubs(), created->name());
    EXPECT_TRUE(run.ok()) << run.status();
    EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_MAX_STEPS);
    return *run;
  }
};

TEST_F(ControlRunTest, CancelStopsARunInItsModel) {
  const auto created = Create(stubs(), Submit("hang"));
  ASSERT_TRUE(created.ok()) << created.status();
  const auto cancelled = Cancel(created->name(), "not needed");
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  const auto run = AwaitStop(stubs(), created->name());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_EQ(run->stop().cancellation().principal(), "local");
  EXPECT_EQ(run->stop().cancellation().cause(), "not needed");
}

TEST_F(ControlRunTest, CancelOfAStoppedRunReturnsIt) {
  const v1::Run run = Answered(stubs());
  const auto cancelled = Cancel(run.name());
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_EQ(cancelled->stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(cancelled->last_sequence(), run.last_sequence());
}

TEST_F(ControlRunTest, CancelRefuses) {
  EXPECT_EQ(Say(Cancel(kNoRun).status()), absl::StrCat("NOT_FOUND RUN_NOT_FOUND: there is no ", kNoRun, "; it may have been deleted"));
  EXPECT_EQ(Say(Cancel(Answered(stubs()).name(), std::string(1025, 'x')).status()),
            "INVALID_ARGUMENT INVALID_FIELD: cause: 1025 bytes are too many; at most 1024");
  EXPECT_EQ(Say(Cancel(Answered(stubs()).name(), "", "\n").status()),
            "INVALID_ARGUMENT INVALID_FIELD: request_id: is not 1-128 printable ASCII characters; shorten or hash your key");
}

// The reply was lost, somebody resumed the run, and then the caller asks again: the run that goes on is not cancelled a second time.
TEST_F(ControlRunTest, ACancelIsIdempotentByItsRequestId) {
  const auto created = Create(stubs(), Submit("hang"));
  ASSERT_TRUE(created.ok()) << created.status();
  ASSERT_TRUE(Cancel(created->name(), "enough", "cancel").ok());
  ASSERT_TRUE(AwaitStop(stubs(), created->name()).ok());
  ASSERT_TRUE(Resume(created->name(), 0).ok());
  const auto again = Cancel(created->name(), "enough", "cancel");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_NE(again->state(), v1::RUN_STATE_STOPPED);
  EXPECT_EQ(client::DetailsOf(Cancel(created->name(), "another cause", "cancel").status()).reason, "REQUEST_ID_REUSED");
  EXPECT_NE(Get(created->name(), 50)->state(), v1::RUN_STATE_STOPPED);
  ASSERT_TRUE(Cancel(created->name()).ok());
  EXPECT_TRUE(AwaitStop(stubs(), created->name()).ok());
}

TEST_F(ControlRunTest, ResumeGoesOnWhereALimitStopped) {
  const v1::Run run = Limited();
  const auto resumed = Resume(run.name(), 5);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  const auto again = AwaitStop(stubs(), run.name());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->stop().reason(), v1::STOP_REASON_MAX_STEPS);
  EXPECT_EQ(again->usage().steps(), 5);
  EXPECT_EQ(again->limits().max_steps(), 5);
}

TEST_F(ControlRunTest, ResumeRefuses) {
  const v1::Run limited = Limited();
  EXPECT_EQ(Say(Resume(limited.name(), 0).status()),
            absl::StrCat("FAILED_PRECONDITION LIMIT_NOT_RAISED: limits.max_steps: ", limited.name(), " was stopped by it at 2; raise it above 2"));
  EXPECT_EQ(Say(Resume(limited.name(), 2).status()),
            absl::StrCat("FAILED_PRECONDITION LIMIT_NOT_RAISED: limits.max_steps: ", limited.name(), " was stopped by it at 2; raise it above 2"));
  EXPECT_EQ(Say(Resume(limited.name(), 10'001).status()), "INVALID_ARGUMENT INVALID_FIELD: limits.max_steps: 10001 is above this server's maximum of 10000");
  const v1::Run answered = Answered(stubs());
  EXPECT_EQ(Say(Resume(answered.name(), 9).status()),
            absl::StrCat("FAILED_PRECONDITION RUN_ANSWERED: ", answered.name(), " gave its final answer, which never changes; submit a new run to say more"));
  const auto running = Create(stubs(), Submit("hang"));
  ASSERT_TRUE(running.ok()) << running.status();
  const absl::Status status = Resume(running->name(), 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(client::DetailsOf(status).reason, "RUN_NOT_STOPPED");
  EXPECT_EQ(Say(Resume(kNoRun, 0).status()), absl::StrCat("NOT_FOUND RUN_NOT_FOUND: there is no ", kNoRun, "; it may have been deleted"));
}

TEST_F(ControlRunTest, AResumeIsIdempotentByItsRequestId) {
  const v1::Run run = Limited();
  const auto first = Resume(run.name(), 4, "again");
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(AwaitStop(stubs(), run.name()).ok());
  const auto second = Resume(run.name(), 4, "again");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->usage().steps(), 4);
  EXPECT_EQ(client::DetailsOf(Resume(run.name(), 6, "again").status()).reason, "REQUEST_ID_REUSED");
}

TEST_F(ControlRunTest, InputReachesARunUnderWayAndNoOther) {
  v1::SendInputRequest request;
  const auto send = [&request] { return Say(Call(stubs().run, &Stub::SendInput, request).status()); };
  request.set_name(kNoRun);
  EXPECT_EQ(send(), "INVALID_ARGUMENT INVALID_FIELD: input: give at least one text");
  request.add_input()->set_text("be brief");
  EXPECT_EQ(send(), absl::StrCat("NOT_FOUND RUN_NOT_FOUND: there is no ", kNoRun, "; it may have been deleted"));
  const auto running = Create(stubs(), Submit("hang"));
  ASSERT_TRUE(running.ok()) << running.status();
  request.set_name(running->name());
  EXPECT_EQ(send(), "OK");
  ASSERT_TRUE(Cancel(running->name()).ok());
  ASSERT_TRUE(AwaitStop(stubs(), running->name()).ok());
  EXPECT_EQ(send(), absl::StrCat("FAILED_PRECONDITION RUN_TAKES_NO_INPUT: ", running->name(),
                                 " takes no input: it is stopped; ResumeRun goes on and takes input, unless it answered"));
}

TEST_F(ControlRunTest, ADeadlineStopsARun) {
  v1::CreateRunRequest request = Submit("hang");
  *request.mutable_run()->mutable_deadline() = ToProto(absl::Now() + absl::Milliseconds(100));
  const auto created = Create(stubs(), request);
  ASSERT_TRUE(created.ok()) << created.status();
  const auto run = AwaitStop(stubs(), created->name());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_TIMEOUT);
  EXPECT_EQ(run->stop().limit().limit(), "deadline");
  EXPECT_EQ(client::DetailsOf(Resume(run->name(), 100).status()).reason, "LIMIT_NOT_RAISED");
}

TEST_F(ControlRunTest, ResolveCallRefuses) {
  const v1::Run run = Answered(stubs());
  v1::ResolveCallRequest request;
  const auto resolve = [&request] { return Say(Call(stubs().run, &Stub::ResolveCall, request).status()); };
  request.set_name("runs/x");
  request.set_call_id("three");
  request.set_request_id(std::string(129, 'x'));
  EXPECT_EQ(resolve(),
            "INVALID_ARGUMENT INVALID_FIELD: name: is not the name of a run, runs/{run} with 26 characters of lower-case base32; take it from CreateRun or "
            "ListRuns; call_id: is not the id of a call, {step}.{index}, such as 3.2; take it from the run's waiting_calls; answer: is missing; give one of "
            "run_again, result, give_up, allow, deny; request_id: is not 1-128 printable ASCII characters; shorten or hash your key");
  request.set_name(run.name());
  request.set_call_id("1.1");
  request.clear_request_id();
  request.mutable_answer()->mutable_result();
  EXPECT_EQ(resolve(), "INVALID_ARGUMENT INVALID_FIELD: answer.result.parts: is empty; give what the model is to read");
  request.mutable_answer()->mutable_result()->add_parts()->set_text(std::string(kResultBytesMax, 'x'));
  EXPECT_EQ(resolve(), "INVALID_ARGUMENT INVALID_FIELD: answer.result.parts: 65540 bytes are too many; at most 65536");
  request.mutable_answer()->mutable_give_up()->set_reason(std::string(kCauseBytesMax + 1, 'x'));
  EXPECT_EQ(resolve(), "INVALID_ARGUMENT INVALID_FIELD: answer.give_up.reason: 1025 bytes are too many; at most 1024");
  request.mutable_answer()->mutable_run_again();
  EXPECT_EQ(resolve(), absl::StrCat("FAILED_PRECONDITION CALL_NOT_WAITING: call_id: call 1.1 of ", run.name(),
                                    " does not wait for a person: it is under way, or was answered, or its run is stopping"));
  request.set_call_id("1.9");
  EXPECT_EQ(resolve(), absl::StrCat("NOT_FOUND CALL_NOT_FOUND: call_id: ", run.name(), " has no call 1.9; its waiting_calls name those that wait"));
  request.set_name(kNoRun);
  EXPECT_EQ(resolve(), absl::StrCat("NOT_FOUND RUN_NOT_FOUND: there is no ", kNoRun, "; it may have been deleted"));
}

TEST_F(ControlRunTest, DeleteRemovesAStoppedRunOnly) {
  const v1::Run run = Answered(stubs());
  EXPECT_EQ(Say(Delete(run.name())), "OK");
  EXPECT_EQ(client::DetailsOf(Get(run.name()).status()).reason, "RUN_NOT_FOUND");
  EXPECT_EQ(client::DetailsOf(Delete(run.name())).reason, "RUN_NOT_FOUND");
  const auto running = Create(stubs(), Submit("hang"));
  ASSERT_TRUE(running.ok()) << running.status();
  const absl::Status status = Delete(running->name());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(client::DetailsOf(status).reason, "RUN_NOT_STOPPED");
}

TEST_F(ControlRunTest, GetWaitsForTheStop) {
  const auto created = Create(stubs(), Submit("pause"));
  ASSERT_TRUE(created.ok()) << created.status();
  const auto at_once = Get(created->name());
  ASSERT_TRUE(at_once.ok()) << at_once.status();
  EXPECT_NE(at_once->state(), v1::RUN_STATE_STOPPED);
  const auto waited = Get(created->name(), 30'000);
  ASSERT_TRUE(waited.ok()) << waited.status();
  EXPECT_EQ(waited->state(), v1::RUN_STATE_STOPPED);
}

TEST_F(ControlRunTest, AWaitThatIsOverReturnsTheRunAsItIs) {
  const auto created = Create(stubs(), Submit("hang"));
  ASSERT_TRUE(created.ok()) << created.status();
  const auto run = Get(created->name(), 50);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->state(), v1::RUN_STATE_RUNNING);
}

TEST_F(ControlRunTest, GetRefuses) {
  EXPECT_EQ(Say(Get("runs/x").status()),
            "INVALID_ARGUMENT INVALID_FIELD: name: is not the name of a run, runs/{run} with 26 characters of lower-case base32; take it from CreateRun or "
            "ListRuns");
  EXPECT_EQ(Say(Get(kNoRun, 600'001).status()), "INVALID_ARGUMENT INVALID_FIELD: wait: 10m0.001s is above this server's maximum of 10m");
  EXPECT_EQ(Say(Get(kNoRun, -1000).status()), "INVALID_ARGUMENT INVALID_FIELD: wait: -1s is below 0");
  EXPECT_EQ(client::DetailsOf(Get(kNoRun).status()).reason, "RUN_NOT_FOUND");
}

}  // namespace
}  // namespace agentruntime::testing
