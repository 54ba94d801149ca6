// The whole runtime over a real store: watching.
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "tests/support/coroutine.h"
#include "tests/support/counter.h"
#include "tests/support/decoded.h"
#include "tests/support/held_reads.h"
#include "tests/support/latch.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::Calls;
using testing::DecidesAfter;
using testing::NeverDecides;
using testing::ReadAll;
using testing::RuntimeTest;
using testing::Steps;
using testing::TestRuntime;
using testing::Watched;

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
  EXPECT_EQ(rest.events.front().sequence(), 8) << "who goes on behind 7 sees it again";
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

// An input ends no attempt: what the model goes on to say is not void.
TEST_F(RuntimeTest, TextGoesOnBehindAnInput) {
  testing::Counter asked;
  testing::Latch go_on, decide;
  TestRuntime runtime(Config(
      [&](ModelRequest request, DeltaSink& deltas) -> asio::awaitable<ModelOutcome> {
        if (request.step > 1) co_return Answer("done");
        asked.Add();
        co_await go_on.Opened();
        deltas.Text("more");
        co_await decide.Opened();
        co_return Calls({{"echo", "{}"}});
      },
      {Echo()}));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok());
  ASSERT_TRUE(asked.Await(1));
  auto watch = *runtime.Await(runtime->WatchRun(IdOf(*run), 0, true));
  InputRequest input;
  input.input.emplace_back().set_text("and that");
  ASSERT_TRUE(runtime.Await(runtime->SendInput(IdOf(*run), input, Caller())).ok());
  // While nothing comes, a bookmark does.
  absl::Time given_up = absl::InfiniteFuture();
  for (;;) {
    const auto next = runtime.Await(watch->Next());
    ASSERT_TRUE(next.ok() && *next);
    const auto response = testing::Decoded(*next);
    ASSERT_TRUE(response);
    if (response->delta().text() == "more") break;
    if (response->has_run()) ASSERT_LT(absl::Now(), given_up) << "the text is held back";
    if (response->event().has_input_received()) {
      go_on.Open();
      given_up = absl::Now() + kWatchIdleInterval / 2;
    }
  }
  decide.Open();
  EXPECT_EQ(runtime.WaitForStop(run->name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

// Nobody tells it a second time that its caller has left.
TEST_F(RuntimeTest, AWaitWhoseCallerLeavesWhileTheRunIsReadEnds) {
  constexpr absl::Duration kWait = absl::Seconds(30);
  testing::HeldReads held;
  TestRuntime::Config config = Config(Steps(0, ""));
  config.wrap_store = [&held](std::unique_ptr<Store> store) { return std::make_unique<testing::HeldStore>(std::move(store), held); };
  TestRuntime runtime(std::move(config));
  CreateRequest later = runtime.Request();  // queued, and without a session: only the store knows how it is
  *later.run.mutable_not_before_time() = ToProto(absl::Now() + absl::Hours(1));
  const auto run = runtime.Await(runtime->CreateRun(later, Caller()));
  ASSERT_TRUE(run.ok()) << run.status();
  held.Hold();
  const absl::Time begun = absl::Now();
  testing::Running<absl::StatusOr<v1::Run>> waiting([&] { return runtime->GetRun(IdOf(*run), kWait); });
  held.AwaitUnderWay(1);
  waiting.Cancel();
  held.Release();
  EXPECT_EQ(waiting.Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - begun, kWait);
}

}  // namespace
}  // namespace agentruntime
