// A new run begins ahead of its own creation: that and what it does first are one commit, and nothing of it leaves before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proto/base/mutex.h"
#include "proto/util/errors.h"
#include "proto/util/time.h"
#include "tests/support/await.h"
#include "tests/support/counter.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using ::testing::Each;
using ::testing::ElementsAre;
using testing::Immediately;
using testing::RuntimeTest;
using testing::TestRuntime;

// Writes are handed on in their order once the test says so, as by a slow disk.
class SlowStore final : public testing::ForwardingStore {
 public:
  explicit SlowStore(std::unique_ptr<Store> store) : ForwardingStore(std::move(store)) {}
  void Create(NewRun run, CreateDone done) override {
    Take("create", [this, run = std::move(run), done = std::move(done)]() mutable { ForwardingStore::Create(std::move(run), std::move(done)); });
  }
  void Append(AppendRequest request, AppendDone done) override {
    const std::string name = request.events.back()->has_run_stopped() ? "append with stop" : "append";
    Take(name, [this, request = std::move(request), done = std::move(done)]() mutable { ForwardingStore::Append(std::move(request), std::move(done)); });
  }
  void HandOn() {
    MutexLock lock(mu_);
    held_ = false;
    for (auto& write : writes_) write();
    writes_.clear();
  }
  std::vector<std::string> taken() {
    MutexLock lock(mu_);
    return taken_;
  }

 private:
  void Take(std::string name, absl::AnyInvocable<void()> write) {
    MutexLock lock(mu_);
    taken_.push_back(std::move(name));
    if (!held_) return write();
    writes_.push_back(std::move(write));
  }

  Mutex mu_;
  bool held_ ABSL_GUARDED_BY(mu_) = true;
  std::vector<std::string> taken_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::AnyInvocable<void()>> writes_ ABSL_GUARDED_BY(mu_);
};

class NewRunTest : public RuntimeTest {
 protected:
  // Calls a tool, then answers.
  TestRuntime::Config Config() {
    TestRuntime::Config config = RuntimeTest::Config(
        [this](ModelRequest request, DeltaSink&) {
          asked_.Add();
          return Immediately(request.step == 1 ? testing::Calls({{"echo", "{}"}}) : Answer("done"));
        },
        {Echo()});
    model_ = std::static_pointer_cast<testing::FakeModel>(config.models[0]);
    return config;
  }
  TestRuntime::Config SlowConfig() {
    TestRuntime::Config config = Config();
    config.wrap_store = [this](std::unique_ptr<Store> wrapped) {
      auto slow = std::make_unique<SlowStore>(std::move(wrapped));
      store_ = slow.get();
      return slow;
    };
    return config;
  }
  // In another thread: it returns when the store has the run.
  static std::future<v1::Run> Create(TestRuntime& runtime) {
    return std::async(std::launch::async, [&runtime] { return *runtime.Await(runtime->CreateRun(runtime.Request(), Caller())); });
  }
  void AwaitTaken(size_t count) {
    testing::AwaitThat("the writes are with the store", [&] { return store_->taken().size() == count; });
  }
  static bool IsReady(const std::future<v1::Run>& reply) { return reply.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }

  testing::Counter asked_;
  std::shared_ptr<testing::FakeModel> model_;
  SlowStore* store_ = nullptr;
};

TEST_F(NewRunTest, ALocalOneIsOneWriteBehindItsCreation) {
  TestRuntime runtime(SlowConfig());
  std::future<v1::Run> reply = Create(runtime);
  AwaitTaken(2);
  EXPECT_THAT(store_->taken(), ElementsAre("create", "append with stop"));
  EXPECT_EQ(asked_.value(), 2);
  EXPECT_FALSE(IsReady(reply));
  store_->HandOn();
  const v1::Run created = reply.get();
  EXPECT_EQ(created.state(), v1::RUN_STATE_QUEUED) << "as it was accepted";
  EXPECT_EQ(created.last_sequence(), 1);
  EXPECT_EQ(runtime.WaitForStop(created.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(NewRunTest, ItsWatcherHearsAllOfIt) {
  TestRuntime runtime(SlowConfig());
  auto watched = std::async(std::launch::async, [&] {
    auto watch = runtime.Await(runtime->RunAgent(runtime.Request(), Caller(), /*include_deltas=*/true));
    return runtime.Await(testing::ReadAll(*std::move(watch)));
  });
  AwaitTaken(2);
  store_->HandOn();
  const testing::Watched seen = watched.get();
  ASSERT_EQ(seen.events.size(), 9u);
  EXPECT_TRUE(seen.events.front().has_run_created());
  EXPECT_TRUE(seen.events.back().has_run_stopped());
}

TEST_F(NewRunTest, AModelElsewhereIsNotAskedBeforeItsCreation) {
  TestRuntime::Config config = SlowConfig();
  model_->mutable_info().local = false;
  TestRuntime runtime(std::move(config));
  std::future<v1::Run> reply = Create(runtime);
  AwaitTaken(2);
  EXPECT_THAT(store_->taken(), ElementsAre("create", "append")) << "the intent goes with it";
  EXPECT_EQ(asked_.value(), 0);
  store_->HandOn();
  EXPECT_EQ(runtime.WaitForStop(reply.get().name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(NewRunTest, OneThatTheStoreRefusesLeavesNoTraceAndNoPlaceTaken) {
  TestRuntime::Config config = Config();
  config.options.running_max = 1;
  config.options.queued_max = 1;
  TestRuntime runtime(std::move(config));
  CreateRequest request = runtime.Request();
  request.request_id = "once";
  request.request_hash = "hash";
  const v1::Run first = runtime.RunToStop(request);
  for (int i = 0; i < 3; ++i) {
    const auto again = runtime.Await(runtime->CreateRun(request, Caller()));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->name(), first.name());
    EXPECT_EQ(again->state(), v1::RUN_STATE_STOPPED);
  }
  request.request_hash = "another";
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->CreateRun(request, Caller())).status()), v1::ERROR_REASON_REQUEST_ID_REUSED);
  runtime.AwaitNoSession();
  const v1::Run other = runtime.RunToStop();
  const auto all = runtime.Await(runtime->ListRuns({}));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_THAT(all->first, ::testing::SizeIs(2));
  EXPECT_NE(other.name(), first.name());
}

// It may be what ended the server, and must be there to be counted.
TEST_F(NewRunTest, BehindAStartThatFoundOneWithoutProgressItIsMadeFirst) {
  const auto never = [this](ModelRequest request, DeltaSink&) {
    asked_.Add();
    return std::get<UserMessage>(request.messages[0]).parts->at(0).text() == "never" ? testing::NeverDecides() : Immediately(Answer("done"));
  };
  for (int asked = 1; asked <= 2; ++asked) {
    TestRuntime runtime(RuntimeTest::Config(never));
    if (asked == 1) ASSERT_TRUE(runtime.Await(runtime->CreateRun(runtime.Request("never"), Caller())).ok());
    ASSERT_TRUE(asked_.Await(asked));
    runtime.Stop(absl::ZeroDuration());
  }
  TestRuntime::Config config = RuntimeTest::Config(never);
  config.wrap_store = [this](std::unique_ptr<Store> wrapped) {
    auto slow = std::make_unique<SlowStore>(std::move(wrapped));
    store_ = slow.get();
    return slow;
  };
  TestRuntime runtime(std::move(config));
  AwaitTaken(1);  // the other is taken up
  std::future<v1::Run> reply = Create(runtime);
  AwaitTaken(2);
  EXPECT_EQ(store_->taken().back(), "create");
  store_->HandOn();
  EXPECT_EQ(runtime.WaitForStop(reply.get().name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(NewRunTest, OneThatWaitsForItsTurnIsMadeFirst) {
  TestRuntime::Config config = SlowConfig();
  config.options.running_max = 1;
  TestRuntime runtime(std::move(config));
  std::future<v1::Run> first = Create(runtime);
  AwaitTaken(2);
  std::future<v1::Run> second = Create(runtime);
  AwaitTaken(3);
  EXPECT_EQ(store_->taken().back(), "create");
  store_->HandOn();
  for (std::future<v1::Run>* reply : {&first, &second}) {
    EXPECT_EQ(runtime.WaitForStop(reply->get().name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  }
}

// Keeps count of the runs that were read.
class CountingStore final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  absl::StatusOr<RunRecord> GetRun(const RunId& run) override {
    Count(run);
    return ForwardingStore::GetRun(run);
  }
  absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit limit) override {
    Count(run);
    return ForwardingStore::ReadEvents(run, after, limit);
  }
  std::set<RunId> TakeRead() {
    MutexLock lock(mu_);
    return std::exchange(read_, {});
  }

 private:
  void Count(const RunId& run) {
    MutexLock lock(mu_);
    read_.insert(run);
  }

  Mutex mu_;
  std::set<RunId> read_ ABSL_GUARDED_BY(mu_);
};

TEST_F(NewRunTest, OneThatTheStoreRefusesIsNotWokenWhereItWouldWait) {
  TestRuntime::Config config = Config();
  config.agent.add_approve_tools("echo");
  *config.agent.mutable_call_wait() = ToProto(absl::Seconds(1));
  CountingStore* store = nullptr;
  config.wrap_store = [&](std::unique_ptr<Store> wrapped) {
    auto counting = std::make_unique<CountingStore>(std::move(wrapped));
    store = counting.get();
    return counting;
  };
  TestRuntime runtime(std::move(config));
  CreateRequest request = runtime.Request();
  request.request_id = "once";
  const auto first = runtime.Await(runtime->CreateRun(request, Caller()));
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(runtime.Await(runtime->CreateRun(request, Caller())).ok());
  // Its wait ends behind the one that is not to be.
  const auto last = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(last.ok()) << last.status();
  testing::AwaitThat("its wait has expired",
                     [&] { return runtime.Await(runtime->GetRun(IdOf(*last), absl::ZeroDuration()))->state() == v1::RUN_STATE_STOPPED; });
  EXPECT_THAT(store->TakeRead(), ::testing::IsSubsetOf({IdOf(*first), IdOf(*last)}));
}

TEST_F(NewRunTest, OneThatHasJustStoppedIsNotReadAndNeverShownAsItWas) {
  CountingStore* store = nullptr;
  TestRuntime::Config config = RuntimeTest::Config(
      [](ModelRequest request, DeltaSink&) { return request.step == 1 ? Immediately(testing::Calls({{"echo", "{}"}})) : testing::NeverDecides(); }, {Echo()});
  config.wrap_store = [&](std::unique_ptr<Store> wrapped) {
    auto counting = std::make_unique<CountingStore>(std::move(wrapped));
    store = counting.get();
    return counting;
  };
  TestRuntime runtime(std::move(config));
  CreateRequest request = runtime.Request();
  request.run.mutable_limits()->set_max_steps(1);
  const v1::Run stopped = runtime.RunToStop(std::move(request));
  const RunId run = IdOf(stopped);
  const auto get = [&] { return runtime.Await(runtime->GetRun(run, absl::ZeroDuration())); };
  store->TakeRead();
  const auto again = get();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->stop().reason(), v1::STOP_REASON_MAX_STEPS);
  EXPECT_THAT(store->TakeRead(), ::testing::IsEmpty());

  ResumeRequest resume;
  resume.limits.set_max_steps(2);
  ASSERT_TRUE(runtime.Await(runtime->ResumeRun(run, resume, Caller())).ok());
  EXPECT_THAT((std::vector{get()->state(), runtime.Await(runtime->GetRun(run, absl::Milliseconds(1)))->state()}),
              Each(::testing::AnyOf(v1::RUN_STATE_QUEUED, v1::RUN_STATE_RUNNING)));
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(run, CancelRequest(), Caller())).ok());
  EXPECT_EQ(runtime.WaitForStop(stopped.name()).stop().reason(), v1::STOP_REASON_CANCELLED);
  ASSERT_TRUE(runtime.Await(runtime->DeleteRun(run)).ok());
  EXPECT_TRUE(absl::IsNotFound(get().status())) << get().status();
}

}  // namespace
}  // namespace agentruntime
