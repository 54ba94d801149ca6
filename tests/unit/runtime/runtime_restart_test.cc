// The whole runtime over a real store: what the next server makes of the runs of the one before.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "tests/support/await.h"
#include "tests/support/counter.h"
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
using testing::ModelError;
using testing::NeverDecides;
using testing::ReadAll;
using testing::RuntimeTest;
using testing::TestRuntime;
using testing::Watched;

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

// It would be loaded again every second for ever, with a line in the log each time.
TEST_F(RuntimeTest, ARunWhoseAgentIsDamagedIsSetAside) {
  std::string name;
  {
    TestRuntime runtime(Config([](ModelRequest, DeltaSink&) { return NeverDecides(); }));
    const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    ASSERT_TRUE(run.ok());
    name = run->name();
    runtime.Stop(absl::ZeroDuration());
  }
  for (const char* damage : {"UPDATE agent_revisions SET crc = crc + 1 WHERE revision = 1", "DELETE FROM agent_revisions WHERE revision = 1"}) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(dir_.File("test.db").c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, damage, nullptr, nullptr, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_changes(database), 1);
    sqlite3_close(database);
    TestRuntime runtime(Config([](ModelRequest, DeltaSink&) { return Immediately(Answer("done")); }));  // which applies the agent again
    const absl::Status status = runtime.Await(runtime->CancelRun(*ParseRunName(name), {.cause = ""}, Caller())).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_NE(runtime.Await(runtime->GetRun(*ParseRunName(name), absl::ZeroDuration()))->state(), v1::RUN_STATE_STOPPED) << "it is as it was";
    EXPECT_EQ(runtime.RunToStop().stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << "others go on";
    ForkRequest fork;
    fork.source = *ParseRunName(name);
    fork.agent = "agents/test";
    const auto forked = runtime.Await(runtime->ForkRun(fork, Caller()));
    ASSERT_TRUE(forked.ok()) << forked.status();
    EXPECT_EQ(runtime.WaitForStop(forked->name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << "as the message says";
  }
}

// The restart is a drain without grace: attempts under way are cut off, nothing of them is recorded, and the next start takes the run up.
TEST_F(RuntimeTest, RestartGoesOnAndRepeatsNoSettledCall) {
  testing::Counter calls;
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
      calls.Add();
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
    ASSERT_TRUE(calls.Await(10));
    seen = runtime.Events(name).back()->sequence();
    runtime.Stop(absl::ZeroDuration());
  }
  hold = false;
  TestRuntime runtime(Config(behaviour, {count()}));
  const v1::Run run = runtime.WaitForStop(name);
  EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(run.usage().steps(), 21);
  EXPECT_EQ(calls.value(), 20) << "each of the twenty calls ran once";
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

// A drain that waits for an attempt and then forgets its outcome would look like one that waits in vain: its call would be uncertain.
TEST_F(RuntimeTest, AnOutcomeWithinTheGraceOfADrainIsRecorded) {
  testing::Counter called;
  testing::Latch answer;
  const auto send = [&] {
    auto tool = std::make_shared<FakeTool>("send", v1::SIDE_EFFECT_UNSAFE, [&](ToolRequest, ProgressSink&) -> asio::awaitable<ToolOutcome> {
      called.Add();
      if (!co_await answer.Opened()) co_return ToolUnknown{"cut off"};
      co_return Done("sent");
    });
    tool->mutable_spec().local = false;
    return tool;
  };
  std::string name;
  {
    TestRuntime runtime(Config(testing::Steps(1, "send"), {send()}));
    const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
    ASSERT_TRUE(run.ok()) << run.status();
    name = run->name();
    ASSERT_TRUE(called.Await(1));
    std::thread drain([&] { runtime.Stop(absl::Minutes(1)); });
    // Sessions are told so in the moment in which their runs take no commands any more.
    const ResolveRequest none = {.call = {9, 9}, .answer = {}, .request_id = "", .request_hash = ""};
    testing::AwaitThat("it drains", [&] {
      return ReasonOf(runtime.Await(runtime->ResolveCall(*ParseRunName(name), none, Caller())).status()) == v1::ERROR_REASON_SERVER_DRAINING;
    });
    answer.Open();
    drain.join();
  }
  TestRuntime runtime(Config(testing::Steps(1, "send"), {send()}));
  EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  const auto events = runtime.Events(name);
  const auto finished = std::find_if(events.begin(), events.end(), [](const EventPtr& event) { return event->has_call_finished(); });
  ASSERT_NE(finished, events.end());
  EXPECT_EQ((*finished)->call_finished().outcome(), v1::CALL_OUTCOME_OK);
  EXPECT_EQ((*finished)->epoch(), events.front()->epoch()) << "the server that heard it recorded it";
  EXPECT_EQ(called.value(), 1);
}

// The command comes to a session that has not yet said that it is the one now: what the server before left open must not be started for it.
TEST_F(RuntimeTest, ACancelAfterARestartStartsNothing) {
  testing::Counter asked;
  const auto make = [&] {
    TestRuntime::Config config = Config([&asked](ModelRequest, DeltaSink&) {
      asked.Add();
      return NeverDecides();
    });
    static_cast<FakeModel&>(*config.models.front()).mutable_info().local = false;
    return config;
  };
  std::string name;
  {
    TestRuntime runtime(make());
    name = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()))->name();
    ASSERT_TRUE(asked.Await(1));
  }
  TestRuntime::Config config = make();
  config.options.running_max = 0;  // so that the cancel is what takes the run up
  TestRuntime runtime(config);
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(*ParseRunName(name), {.cause = ""}, Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_CANCELLED);
  EXPECT_EQ(asked.value(), 1);
  const auto events = runtime.Events(name);
  const auto first = std::find_if(events.begin(), events.end(), [&](const EventPtr& event) { return event->epoch() > events.front()->epoch(); });
  ASSERT_NE(first, events.end());
  EXPECT_TRUE((*first)->has_run_started()) << "what comes first in a new epoch settles the attempts of the one before";
}

// Restarts without progress make suspects of runs that only wait for their model: each gets its turn, however long the model takes, and has the server for
// itself for a while, so that a run that ends it takes no innocent one along.
TEST_F(RuntimeTest, SuspectsAllGetTheirTurn) {
  constexpr int kRuns = 3;
  testing::Counter asked;
  Mutex mu;
  std::vector<absl::Time> times;
  const auto behaviour = [&](ModelRequest, DeltaSink&) {
    {
      MutexLock lock(mu);
      times.push_back(absl::Now());
    }
    asked.Add();
    return NeverDecides();
  };
  {
    TestRuntime runtime(Config(behaviour));
    for (int i = 0; i < kRuns; ++i) ASSERT_TRUE(runtime.Await(runtime->CreateRun(runtime.Request(), Caller())).ok());
    ASSERT_TRUE(asked.Await(kRuns));
  }
  for (int restart = 1; restart <= kBarrenStartsSuspect; ++restart) {
    asked.Reset();
    TestRuntime runtime(Config(behaviour));
    ASSERT_TRUE(asked.Await(kRuns));
  }
  asked.Reset();
  times.clear();
  {
    TestRuntime runtime(Config(behaviour));
    ASSERT_TRUE(asked.Await(kRuns));
    MutexLock lock(mu);
    // Half of it: a busy machine may ask the first model late.
    for (int i = 1; i < kRuns; ++i) EXPECT_GE(times[static_cast<size_t>(i)] - times[static_cast<size_t>(i) - 1], kSuspectProbation / 2);
  }
  // One of them may still be what ends the server: now each has it for itself for longer.
  asked.Reset();
  testing::Latch decide;
  TestRuntime runtime(Config([&](ModelRequest, DeltaSink&) -> asio::awaitable<ModelOutcome> {
    asked.Add();
    co_await decide.Opened();
    co_return Answer("done");
  }));
  ASSERT_TRUE(asked.Await(1));
  EXPECT_FALSE(asked.Await(2, kSuspectProbation * 5 / 4)) << "the first has not made progress";
  EXPECT_TRUE(asked.Await(2)) << "and does not keep the others out for ever";
  decide.Open();
  EXPECT_TRUE(asked.Await(kRuns));
}

}  // namespace
}  // namespace agentruntime
