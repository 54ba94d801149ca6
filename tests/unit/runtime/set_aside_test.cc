// Runs that cannot be loaded since what is kept of them is damaged: who waits for them, and what becomes of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "tests/support/await.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using ::testing::HasSubstr;
using testing::NeverDecides;
using testing::RuntimeTest;
using testing::TestRuntime;

constexpr absl::Duration kLong = absl::Seconds(20);

// Whose unfinished runs are not found before the test says so.
class LateRecovery final : public testing::ForwardingStore {
 public:
  LateRecovery(std::unique_ptr<Store> store, std::shared_future<void> begin) : ForwardingStore(std::move(store)), begin_(std::move(begin)) {}
  absl::StatusOr<std::vector<UnfinishedRun>> UnfinishedRuns(std::optional<RunId> after, int32_t limit) override {
    begin_.wait();
    return ForwardingStore::UnfinishedRuns(after, limit);
  }

 private:
  const std::shared_future<void> begin_;
};

// Which says of every run that is loaded that it is damaged, as long as the test says so.
class FaultyStore final : public testing::ForwardingStore {
 public:
  FaultyStore(std::unique_ptr<Store> store, const std::atomic<bool>& faulty) : ForwardingStore(std::move(store)), faulty_(faulty) {}
  absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit limit) override {
    if (faulty_ && limit.events_max == ReadLimit().events_max) return RunDamaged(run, "a fault of the disk");
    return ForwardingStore::ReadEvents(run, after, limit);
  }

 private:
  const std::atomic<bool>& faulty_;
};

class SetAsideTest : public RuntimeTest {
 protected:
  // One that its server left at its second step, with seven events.
  void LeaveRun() {
    TestRuntime runtime(Config());
    const auto run = runtime.Await(runtime->CreateRun(RequestIn(runtime, "chat"), Caller()));
    ASSERT_TRUE(run.ok()) << run.status();
    run_ = IdOf(*run);
    const auto watch = *runtime.Await(runtime->WatchRun(run_, 0, false));
    for (bool called = false; !called;) {
      const auto next = runtime.Await(watch->Next());
      ASSERT_TRUE(next.ok()) << next.status();
      called = testing::Decoded(*next)->event().sequence() == kLast;
    }
    runtime.Stop(absl::ZeroDuration());
  }
  TestRuntime::Config Config() {
    return RuntimeTest::Config(
        [](ModelRequest request, DeltaSink&) { return request.step == 1 ? testing::Immediately(Calls({{"echo", "{}"}})) : NeverDecides(); }, {Echo()});
  }
  static CreateRequest RequestIn(TestRuntime& runtime, const std::string& conversation) {
    CreateRequest request = runtime.Request();
    request.run.set_conversation(conversation);
    return request;
  }
  // Of a run that cannot be stopped any more.
  void ExpectThatItIsKept(TestRuntime& runtime) {
    const absl::Status kept = runtime.Await(runtime->DeleteRun(run_));
    EXPECT_EQ(ReasonOf(kept), v1::ERROR_REASON_RUN_DAMAGED) << kept;
    EXPECT_THAT(std::string(kept.message()), HasSubstr("is kept: it has not stopped, and cannot be cancelled either, since the journal of "));
    const absl::Status busy = runtime.Await(runtime->CreateRun(RequestIn(runtime, "chat"), Caller())).status();
    EXPECT_EQ(ReasonOf(busy), v1::ERROR_REASON_RUN_DAMAGED) << busy;
    EXPECT_THAT(std::string(busy.message()), HasSubstr(absl::StrCat(RunName(run_), " of this conversation has not stopped, and cannot be cancelled either: ")));
    const auto elsewhere = runtime.Await(runtime->CreateRun(RequestIn(runtime, "another"), Caller()));
    EXPECT_TRUE(elsewhere.ok()) << elsewhere.status();
  }
  void Execute(const std::string& sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(dir_.File("test.db").c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    EXPECT_EQ(sqlite3_changes(database), 1);
    sqlite3_close(database);
  }
  void DamageEvent(Sequence sequence) { Execute(absl::StrCat("UPDATE events SET crc = crc + 1 WHERE sequence = ", sequence)); }
  // Until the run is set aside: a command finds that out.
  void AwaitSetAside(TestRuntime& runtime) {
    EXPECT_EQ(runtime.Await(runtime->CancelRun(run_, {.cause = ""}, Caller())).status().code(), absl::StatusCode::kDataLoss);
  }

  static constexpr Sequence kLast = 7;
  RunId run_;
};

TEST_F(SetAsideTest, AWatchBehindTheDamageEnds) {
  LeaveRun();
  DamageEvent(3);
  TestRuntime runtime(Config());
  AwaitSetAside(runtime);
  for (const Sequence after : {Sequence{3}, kLast}) {
    const auto watch = *runtime.Await(runtime->WatchRun(run_, after, false));
    EXPECT_TRUE(runtime.Await(watch->Next()).ok()) << "the run as it is";
    for (Sequence told = after; told < kLast; ++told) EXPECT_TRUE(runtime.Await(watch->Next()).ok()) << "what can be read is told first";
    const absl::Status end = runtime.Await(watch->Next()).status();
    EXPECT_EQ(end.code(), absl::StatusCode::kDataLoss) << end;
    EXPECT_EQ(ReasonOf(end), v1::ERROR_REASON_RUN_DAMAGED);
  }
}

TEST_F(SetAsideTest, AWaitForItsStopEnds) {
  LeaveRun();
  DamageEvent(3);
  TestRuntime runtime(Config());
  AwaitSetAside(runtime);
  const auto waited = runtime.Await(runtime->GetRun(run_, kLong));
  EXPECT_EQ(ReasonOf(waited.status()), v1::ERROR_REASON_RUN_DAMAGED) << waited.status();
  EXPECT_EQ(runtime.Await(runtime->GetRun(run_, absl::ZeroDuration()))->state(), v1::RUN_STATE_RUNNING) << "its row is whole";
}

TEST_F(SetAsideTest, WhatWasInMemoryOfItIsNotShownAnyMore) {
  TestRuntime::Config config = Config();
  config.agent.add_approve_tools("echo");
  *config.agent.mutable_call_wait() = ToProto(absl::Seconds(1));
  TestRuntime runtime(std::move(config));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok()) << run.status();
  run_ = IdOf(*run);
  ASSERT_EQ(runtime.Await(runtime->GetRun(run_, kLong))->state(), v1::RUN_STATE_WAITING);
  Execute("UPDATE runs SET title = 'another'");
  // Its expiry finds that.
  testing::AwaitThat("it is set aside", [&] { return absl::IsDataLoss(runtime.Await(runtime->GetRun(run_, absl::ZeroDuration())).status()); });
}

TEST_F(SetAsideTest, WhoWaitedBeforeIsTold) {
  LeaveRun();
  DamageEvent(3);
  std::promise<void> begin;
  TestRuntime::Config config = Config();
  config.wrap_store = [begun = begin.get_future().share()](std::unique_ptr<Store> store) { return std::make_unique<LateRecovery>(std::move(store), begun); };
  TestRuntime runtime(std::move(config));
  const auto watch = *runtime.Await(runtime->WatchRun(run_, kLast, false));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(runtime.Await(watch->Next()).ok()) << "the run as it is, and again when the watch has caught up";
  auto waited = std::async(std::launch::async, [&] { return ReasonOf(runtime.Await(runtime->GetRun(run_, kLong)).status()); });
  begin.set_value();
  EXPECT_EQ(ReasonOf(runtime.Await(watch->Next()).status()), v1::ERROR_REASON_RUN_DAMAGED);
  EXPECT_EQ(waited.get(), v1::ERROR_REASON_RUN_DAMAGED);
}

TEST_F(SetAsideTest, ARunThatIsLoadedAfterAllIsSetAsideNoMore) {
  LeaveRun();
  std::atomic<bool> faulty = true;
  TestRuntime::Config config = Config();
  config.wrap_store = [&faulty](std::unique_ptr<Store> store) { return std::make_unique<FaultyStore>(std::move(store), faulty); };
  TestRuntime runtime(std::move(config));
  AwaitSetAside(runtime);
  faulty = false;
  InputRequest input;
  input.input.emplace_back().set_text("more");
  const auto told = runtime.Await(runtime->SendInput(run_, input, Caller()));
  ASSERT_TRUE(told.ok()) << told.status();
  const auto waited = runtime.Await(runtime->GetRun(run_, absl::Milliseconds(1)));
  ASSERT_TRUE(waited.ok()) << waited.status();
  EXPECT_EQ(waited->state(), v1::RUN_STATE_RUNNING);
  const auto watch = *runtime.Await(runtime->WatchRun(run_, told->last_sequence(), false));
  EXPECT_TRUE(runtime.Await(watch->Next()).ok());
  const auto caught_up = runtime.Await(watch->Next());
  EXPECT_TRUE(caught_up.ok()) << caught_up.status();
}

// Its callers were told to wait for its stop or to cancel it, and neither is possible.
TEST_F(SetAsideTest, OneThatHasNotStoppedIsKeptAndSaysSo) {
  LeaveRun();
  DamageEvent(3);
  TestRuntime runtime(Config());
  AwaitSetAside(runtime);
  ExpectThatItIsKept(runtime);
}

// No start finds it among the unfinished ones, so nobody has ever taken it up.
TEST_F(SetAsideTest, OneWhoseRowIsDamagedIsKeptAndSaysSo) {
  LeaveRun();
  Execute("UPDATE runs SET state_crc = state_crc + 1");
  TestRuntime runtime(Config());
  ExpectThatItIsKept(runtime);
}

}  // namespace
}  // namespace agentruntime
