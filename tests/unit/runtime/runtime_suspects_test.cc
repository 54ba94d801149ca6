// The whole runtime over a real store: runs that were taken up again and again without progress work one at a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/load.h"
#include "runtime/suspects.h"
#include "runtime/view.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/await.h"
#include "tests/support/counter.h"
#include "tests/support/latch.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::Calls;
using testing::Forever;
using testing::ModelError;
using testing::RuntimeTest;
using testing::TestRuntime;

std::string InputOf(const ModelRequest& request) { return std::get<UserMessage>(request.messages[0]).parts->at(0).text(); }

class SuspectRunsTest : public RuntimeTest {
 protected:
  // Two runs that servers took up so often that the first has the whole of the longest probation for itself.
  void SetUp() override {
    {
      TestRuntime::Config config = Config(testing::Steps(0, ""));
      config.options.running_max = 0;  // nothing of them begins
      TestRuntime runtime(std::move(config));
      for (int i = 0; i < 2; ++i) {
        const auto run = runtime.Await(runtime->CreateRun(runtime.Request("suspect"), Caller()));
        ASSERT_TRUE(run.ok()) << run.status();
        runs_.push_back(IdOf(*run));
      }
    }
    std::sort(runs_.begin(), runs_.end());  // as the store lists them
    TakeUp(v1::START_CAUSE_FIRST);
    int32_t barren_starts = 0;
    while (SuspectOf(runs_[0], barren_starts).value_or(Suspect()).probation < kSuspectProbationMax) {
      TakeUp(v1::START_CAUSE_RECOVERED);
      ++barren_starts;
    }
  }

  // A server that starts with both and ends.
  void TakeUp(v1::StartCause cause) {
    const auto stores = sqlite::OpenStores({.path = dir_.File("test.db")});
    ASSERT_TRUE(stores.ok()) << stores.status();
    for (const RunId& run : runs_) {
      auto state = LoadState(*stores->store, run);
      ASSERT_TRUE(state.ok()) << state.status();
      auto event = std::make_shared<v1::Event>();
      event->set_sequence(state->last_sequence + 1);
      *event->mutable_time() = ToProto(std::max(absl::FromUnixMicros(absl::ToUnixMicros(absl::Now())), state->last_time));
      event->set_epoch(stores->store->epoch());
      event->mutable_run_started()->set_cause(cause);
      AppendRequest append;
      append.run = run;
      append.epoch = stores->store->epoch();
      append.expected_last_sequence = state->last_sequence;
      append.events = {event};
      Apply(*state, event);
      append.projection = ProjectionOf(*state);
      ASSERT_EQ(AppendNow(*stores->store, std::move(append)), AppendResult::kDurable);
    }
  }

  // Of a run that decides at its first step when it may, and stays in memory with its second; others answer at once.
  asio::awaitable<ModelOutcome> Decide(ModelRequest request) {
    if (InputOf(request) != "suspect") co_return Answer("done");
    if (request.step == 1) {
      asked_.Add();
      co_await decide_.Opened();
      co_return Calls({{"echo", "{}"}});
    }
    co_await Forever();
    co_return ModelError("INTERRUPTED", false);
  }
  TestRuntime::Config MakeConfig() {
    return Config([this](ModelRequest request, DeltaSink&) { return Decide(std::move(request)); }, {Echo()});
  }

  std::vector<RunId> runs_;  // in the order of their turns
  testing::Counter asked_;   // first steps of suspects
  testing::Latch decide_;
};

TEST_F(SuspectRunsTest, TheNextBeginsAsSoonAsTheOneBeforeMakesProgress) {
  TestRuntime runtime(MakeConfig());
  ASSERT_TRUE(asked_.Await(1));
  EXPECT_EQ(runtime.RunToStop(runtime.Request("another")).stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << "they hold up nobody else";
  EXPECT_EQ(asked_.value(), 1) << "each has its turn alone";
  decide_.Open();
  EXPECT_TRUE(asked_.Await(2, kSuspectProbationMax / 2)) << "it waits for the end of a probation that is over";
}

// A command loads the run whose turn has not come; were it to work then, two would be at work when the server ends.
TEST_F(SuspectRunsTest, OneThatACommandLoadsRecordsItAndDoesNotWorkOutOfItsTurn) {
  TestRuntime runtime(MakeConfig());
  ASSERT_TRUE(asked_.Await(1));
  InputRequest more;
  more.input.emplace_back().set_text("more");
  const auto told = runtime.Await(runtime->SendInput(runs_[1], more, Caller()));
  ASSERT_TRUE(told.ok()) << told.status();
  ASSERT_TRUE(testing::AwaitThat("it has left memory again, or works", [&] { return asked_.value() > 1 || runtime.Await(runtime->GetInfo())->sessions == 1; }));
  EXPECT_EQ(asked_.value(), 1);
  decide_.Open();
  EXPECT_TRUE(asked_.Await(2)) << "its turn comes";
  const auto events = runtime.Events(RunName(runs_[1]));
  const auto input = std::find_if(events.begin(), events.end(), [](const EventPtr& event) { return event->has_input_received(); });
  const auto called = std::find_if(events.begin(), events.end(), [](const EventPtr& event) { return event->has_model_called(); });
  ASSERT_NE(input, events.end());
  ASSERT_NE(called, events.end());
  EXPECT_LT((*input)->sequence(), (*called)->sequence());
}

}  // namespace
}  // namespace agentruntime
