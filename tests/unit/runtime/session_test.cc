// One session by itself over a real store: what it says while it works, and how it leaves. Its strand is the test's own thread, so nothing happens between
// two lines of a test but what the test waits for.
#include "runtime/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <string>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/random.h"
#include "runtime/commands.h"
#include "runtime/completion.h"
#include "runtime/decide.h"
#include "runtime/grant.h"
#include "runtime/view.h"
#include "storage/sqlite/stores.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/journal.h"
#include "tests/support/temp_dir.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Calls;
using testing::Done;
using ::testing::ElementsAre;
using testing::FakeModel;
using testing::FakeTool;

// Whose disk is full when a test says so.
class FullStore final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  bool writable() const override { return !full; }
  void Append(AppendRequest request, AppendDone done) override {
    for (const EventPtr& event : request.events) appended.push_back(event->kind_case());
    ForwardingStore::Append(std::move(request), std::move(done));
  }

  bool full = false;
  std::vector<v1::Event::KindCase> appended;
};

// Everything that left.
class Outside final : public Publisher {
 public:
  void Publish(const RunId&, std::vector<EventPtr> events, std::shared_ptr<const v1::Run>) override {
    for (const EventPtr& event : events) stopped |= event->has_run_stopped();
  }
  void PublishDelta(const RunId&, v1::Delta delta) override { progress.push_back(delta.tool_progress().message()); }

  bool stopped = false;
  std::vector<std::string> progress;
};

// A session of its own, whose mail is counted as the scheduler counts it.
class Owner final : public SessionOwner, public ChildRuns {
 public:
  bool TryLeave(const RunId&, const Leaving&) override { return undelivered == 0; }
  void OnEnded(const RunId&) override { ended = true; }
  void OnProgress(const RunId&) override {}
  void OnLateResult(const RunId&) override { ++late_results; }
  void OnAwaiting(const RunId&, bool) override {}
  ChildRuns& child_runs() override { return *this; }
  asio::awaitable<ChildAnswer> Answer(std::shared_ptr<const ChildOrder>, std::string) override { co_return ChildAnswer{absl::NotFoundError("none"), false}; }
  void Cancel(const RunId& child, v1::Cancellation, absl::AnyInvocable<void()> done) override {
    cancelled.push_back(child);
    done();
  }

  int undelivered = 0;
  int late_results = 0;
  bool ended = false;
  std::vector<RunId> cancelled;
};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() {
    OpenStore();
    environment_.pool = environment_.blocking_pool = context_.get_executor();
    environment_.clock = &clock_;
    environment_.timers = &timers_;
    environment_.random = &random_;
    options_.cancel_grace = absl::Milliseconds(1);
  }

  // Of a run that was accepted just now.
  std::shared_ptr<Session> MakeSession(std::shared_ptr<const RunPlan> plan) {
    testing::Journal journal;
    Create(journal);
    return MakeSession(std::move(journal), std::move(plan), Session::Origin::kCreated);
  }
  // Of a run that a server before left as `journal` says.
  std::shared_ptr<Session> TakeUp(testing::Journal journal, std::shared_ptr<const RunPlan> plan) {
    Create(journal);
    AppendRequest rest;
    rest.run = journal.state.id;
    rest.epoch = stores_.store->epoch();
    rest.expected_last_sequence = 1;
    rest.events.assign(journal.events.begin() + 1, journal.events.end());
    rest.projection = ProjectionOf(journal.state);
    bool appended = false;
    stores_.store->Append(std::move(rest), [this, &appended](AppendResult) { asio::post(context_, [&appended] { appended = true; }); });
    RunUntil(appended);
    CloseStore();
    OpenStore();
    return MakeSession(std::move(journal), std::move(plan), Session::Origin::kLoaded);
  }
  std::shared_ptr<Session> MakeSession(testing::Journal journal, std::shared_ptr<const RunPlan> plan, Session::Origin origin) {
    return std::make_shared<Session>(environment_, options_, std::move(journal.state), std::move(plan), outside_, std::make_shared<StagingRoom>(1), owner_,
                                     origin);
  }
  void Create(const testing::Journal& journal) {
    RunState accepted;
    accepted.id = journal.state.id;
    Apply(accepted, journal.events[0]);
    NewRun run;
    run.id = journal.state.id;
    run.created = journal.events[0];
    run.projection = ProjectionOf(accepted);
    bool created = false;
    stores_.store->Create(std::move(run), [this, &created](CreateOutcome) { asio::post(context_, [&created] { created = true; }); });
    RunUntil(created);
  }
  // Again: with a new epoch.
  void OpenStore() {
    stores_ = *sqlite::OpenStores({.path = dir_.File("test.db")});
    auto store = std::make_unique<FullStore>(std::move(stores_.store));
    environment_.store = store_ = store.get();
    stores_.store = std::move(store);
  }
  void SendCancel(Session& session) {
    ++owner_.undelivered;
    session.Send([this](Session& target) {
      --owner_.undelivered;
      RequestCancel(target, {.cancellation = {}, .request_id = "", .request_hash = ""});
      target.WhenDurable([this](bool durable) { replies_.push_back(durable); });
    });
  }
  void RunUntil(const bool& is_so) {
    while (!is_so) context_.run_one();
  }
  // The store finishes what it was given, and nothing comes any more.
  void CloseStore() {
    stores_ = {};
    context_.poll();
  }

  TempDir dir_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(context_);
  SystemClock clock_;
  SystemTimers timers_;
  SystemRandom random_;
  sqlite::Stores stores_;
  FullStore* store_ = nullptr;  // of those
  Environment environment_;
  RuntimeOptions options_;
  Owner owner_;
  std::shared_ptr<Outside> outside_ = std::make_shared<Outside>();
  std::vector<bool> replies_;
};

// Mail of a run that is loaded while the server drains reaches a session that takes no turn any more.
TEST_F(SessionTest, CommandsThatAParkingSessionTakesLastAreAnswered) {
  const auto session = MakeSession(testing::MakePlan(std::make_shared<FakeModel>()));
  session->Park();
  SendCancel(*session);
  SendCancel(*session);
  session->Start();
  RunUntil(owner_.ended);
  CloseStore();
  EXPECT_THAT(replies_, ElementsAre(true, true));
}

// An operator made another tool of it between two starts.
TEST_F(SessionTest, AChildWhoseToolAsksNoOtherRunAnyMoreIsCancelled) {
  auto ask = std::make_shared<FakeTool>("ask", v1::SIDE_EFFECT_IDEMPOTENT);
  ask->mutable_spec().child = ChildSpec{"agents/worker", v1::Limits()};
  auto model = std::make_shared<FakeModel>([](ModelRequest, DeltaSink&) -> asio::awaitable<ModelOutcome> { co_return testing::Answer("without it"); });
  const auto plan = testing::MakePlan(model, {ask});
  testing::Journal journal;
  journal.Settle(*plan);
  journal.AddAll(FactsOfOutcome(journal.state, *plan, Calls({{"ask", R"({"input":"do it"})"}}), absl::ZeroDuration(), journal.now, 0.5));
  journal.Settle(*plan);
  const RunId child = ChildOf(journal.state.last_step()->calls[0]);
  ask->mutable_spec().child.reset();
  TakeUp(journal, plan)->Start();
  RunUntil(outside_->stopped);
  RunUntil(owner_.ended);
  EXPECT_THAT(owner_.cancelled, ElementsAre(child));
}

// A tool that says something, then nothing until it is told to, whatever its cancellation says, and then something again.
class DeafTool {
 public:
  std::shared_ptr<FakeTool> Make() {
    return std::make_shared<FakeTool>("deaf", v1::SIDE_EFFECT_READ_ONLY, [this](ToolRequest, ProgressSink& progress) { return Call(progress); });
  }
  void GoOn() { go_on_->Complete(true); }

  bool called = false;

 private:
  asio::awaitable<ToolOutcome> Call(ProgressSink& progress) {
    progress.Progress("working", std::nullopt);
    called = true;
    co_await go_on_->Wait();
    progress.Progress("still there", std::nullopt);
    co_return Done("at last");
  }

  const std::shared_ptr<Completion<bool>> go_on_ = std::make_shared<Completion<bool>>();
};

asio::awaitable<ModelOutcome> AsksDeafTool(ModelRequest, DeltaSink&) { co_return Calls({{"deaf", "{}"}}); }

TEST_F(SessionTest, AToolThatOutlivesTheStopIsCountedAndNotHeardAnyMore) {
  DeafTool deaf;
  const auto session = MakeSession(testing::MakePlan(std::make_shared<FakeModel>(AsksDeafTool), {deaf.Make()}));
  session->Start();
  RunUntil(deaf.called);
  SendCancel(*session);
  RunUntil(outside_->stopped);
  deaf.GoOn();
  RunUntil(owner_.ended);
  CloseStore();
  EXPECT_THAT(outside_->progress, ElementsAre("working"));
  EXPECT_EQ(owner_.late_results, 1);
}

// Thousands of runs that each record one more step fill what may wait for the disk, and a disk may stay full for hours.
TEST_F(SessionTest, OnAFullDiskASessionRecordsCancelsAndNothingElse) {
  DeafTool deaf;
  const auto session = MakeSession(testing::MakePlan(std::make_shared<FakeModel>(AsksDeafTool), {deaf.Make()}));
  session->Start();
  RunUntil(deaf.called);
  bool started = false;
  session->Send([&started](Session& target) { target.WhenDurable([&started](bool) { started = true; }); });
  RunUntil(started);
  store_->full = true;
  store_->appended.clear();
  deaf.GoOn();
  bool looked = false;
  session->Send([&looked](Session&) { looked = true; });
  RunUntil(looked);
  context_.poll();
  EXPECT_THAT(store_->appended, ElementsAre()) << "the result waits";
  SendCancel(*session);
  while (replies_.empty()) context_.run_one();
  EXPECT_THAT(store_->appended, ElementsAre(v1::Event::kCancelRequested));
  EXPECT_FALSE(outside_->stopped);
  store_->full = false;
  session->Nudge();
  RunUntil(outside_->stopped);
  EXPECT_THAT(store_->appended, ElementsAre(v1::Event::kCancelRequested, v1::Event::kCallFinished, v1::Event::kRunStopped));
  RunUntil(owner_.ended);
}

}  // namespace
}  // namespace agentruntime
