// One session by itself over a real store: what it says while it works, and how it leaves. Its strand is the test's own thread, so nothing happens between
// two lines of a test but what the test waits for.
#include "runtime/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/base/clock.h"
#include "proto/base/random.h"
#include "proto/util/errors.h"
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
    appends.emplace_back();
    for (const EventPtr& event : request.events) {
      appended.push_back(event->kind_case());
      appends.back().push_back(event->kind_case());
    }
    if (holds) {
      held_.emplace_back(std::move(request), std::move(done));
    } else {
      ForwardingStore::Append(std::move(request), std::move(done));
    }
  }
  void ReleaseAllButOne() {
    while (held_.size() > 1) ReleaseOne();
  }
  void Release() {
    holds = false;
    while (!held_.empty()) ReleaseOne();
  }

  bool full = false;
  bool holds = false;  // as if the disk were slow
  std::vector<v1::Event::KindCase> appended;
  std::vector<std::vector<v1::Event::KindCase>> appends;

 private:
  void ReleaseOne() {
    ForwardingStore::Append(std::move(held_.front().first), std::move(held_.front().second));
    held_.pop_front();
  }

  std::deque<std::pair<AppendRequest, AppendDone>> held_;
};

// Everything that left.
class Outside final : public Publisher {
 public:
  void Publish(const RunId&, std::vector<EventPtr> events, std::shared_ptr<const v1::Run>) override {
    for (const EventPtr& event : events) {
      stopped |= event->has_run_stopped();
      inputs += event->has_input_received() ? 1 : 0;
    }
  }
  void PublishDelta(const RunId&, v1::Delta delta) override {
    if (!delta.text().empty()) said.emplace_back(delta.text(), inputs);
    if (delta.has_tool_progress()) progress.push_back(delta.tool_progress().message());
  }
  void SetAside(const RunId&, const absl::Status&) override {}
  void TakeBack(const RunId&) override {}

  bool stopped = false;
  int inputs = 0;  // that were published
  std::vector<std::string> progress;
  std::vector<std::pair<std::string, int>> said;  // by a model, when so many inputs had been published
};

// A session of its own, whose mail is counted as the scheduler counts it.
class Owner final : public SessionOwner, public ChildRuns {
 public:
  bool TryLeave(const RunId&, const Leaving&) override { return undelivered == 0; }
  bool TakePlace(const RunId&, Worker) override { return true; }
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
    bool appended = false;
    stores_.store->Append(journal.Rest(stores_.store->epoch()), [this, &appended](AppendResult) { asio::post(context_, [&appended] { appended = true; }); });
    RunUntil(appended);
    CloseStore();
    OpenStore();
    return MakeSession(std::move(journal), std::move(plan), Session::Origin::kLoaded);
  }
  std::shared_ptr<Session> MakeSession(testing::Journal journal, std::shared_ptr<const RunPlan> plan, Session::Origin origin) {
    return std::make_shared<Session>(environment_, options_, std::move(journal.state), std::move(plan), outside_, room_, owner_, origin);
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
    stores_ = *sqlite::OpenStores({.path = dir_.File(file_)});
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
  void SendInput(Session& session, std::shared_ptr<Reply<v1::Run>> reply = std::make_shared<Reply<v1::Run>>()) {
    ++owner_.undelivered;
    session.Send([this, reply = std::move(reply)](Session& target) {
      --owner_.undelivered;
      InputCommand command;
      command.input.emplace_back().set_text("more");
      agentruntime::SendInput(target, std::move(command), reply);
    });
  }
  // What a caller is told, once it is.
  static asio::awaitable<void> Read(std::shared_ptr<Reply<v1::Run>> reply, std::optional<v1::ErrorReason>& told) {
    const auto answer = co_await reply->Wait();
    told = ReasonOf(answer.status());
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
  std::string file_ = "test.db";
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
  const std::shared_ptr<StagingRoom> room_ = std::make_shared<StagingRoom>(1);
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

// Who learns of a refusal acts on it, and a crash must not take back what it rests on.
TEST_F(SessionTest, ARefusalWaitsForWhatItRestsOn) {
  auto model = std::make_shared<FakeModel>([](ModelRequest, DeltaSink&) -> asio::awaitable<ModelOutcome> { co_return testing::Answer("done"); });
  const auto session = MakeSession(testing::MakePlan(model));
  store_->holds = true;
  session->Start();
  context_.poll();
  ASSERT_THAT(store_->appended, ::testing::Contains(v1::Event::kRunStopped));
  std::optional<v1::ErrorReason> told;
  auto reply = std::make_shared<Reply<v1::Run>>();
  asio::co_spawn(context_, Read(reply, told), asio::detached);
  SendInput(*session, reply);
  context_.poll();
  EXPECT_FALSE(told.has_value()) << "the run is stopped in memory only";
  store_->Release();
  while (!told) context_.run_one();
  EXPECT_EQ(*told, v1::ERROR_REASON_RUN_TAKES_NO_INPUT);
  RunUntil(owner_.ended);
}

// A disk that fills just as a server starts: the start of the run waits for it, and so does what is asked of the run.
TEST_F(SessionTest, MailWaitsUntilTheRunIsTakenUp) {
  auto model = std::make_shared<FakeModel>([](ModelRequest, DeltaSink&) -> asio::awaitable<ModelOutcome> { co_return testing::Answer("done"); });
  const auto plan = testing::MakePlan(model);
  testing::Journal journal;
  journal.Settle(*plan);
  const auto session = TakeUp(std::move(journal), plan);
  store_->full = true;
  session->Start();
  std::optional<bool> taken_up;
  ++owner_.undelivered;
  session->Send([&](Session& target) {
    --owner_.undelivered;
    taken_up = target.IsTakenUp();
  });
  for (int i = 0; i < 3; ++i) {
    session->Nudge();
    context_.poll();
  }
  EXPECT_FALSE(taken_up.has_value());
  store_->full = false;
  session->Nudge();
  RunUntil(owner_.ended);
  EXPECT_EQ(taken_up, true);
}

// The text of a model that has read what came last must not be seen before that is durable: also where the session is far ahead of the disk.
TEST_F(SessionTest, WhatAModelSaysWaitsForAllThatItRead) {
  bool any_waited = false;
  for (int shift = 0; shift < 4; ++shift) {  // of the moment when the session is too far ahead: amid a step, whose events are four
    auto model = std::make_shared<FakeModel>([](ModelRequest request, DeltaSink& deltas) -> asio::awaitable<ModelOutcome> {
      int64_t inputs = -1;  // beside the first
      for (const ModelMessage& message : request.messages) inputs += std::holds_alternative<UserMessage>(message) ? 1 : 0;
      deltas.Text(absl::StrCat(inputs));
      co_return request.step < 200 ? Calls({{"echo", absl::StrCat(R"({"n":)", request.step, "}")}}) : testing::Answer("done");
    });
    auto echo = std::make_shared<FakeTool>("echo", v1::SIDE_EFFECT_READ_ONLY,
                                           [](ToolRequest, ProgressSink&) -> asio::awaitable<ToolOutcome> { co_return Done("echo"); });
    outside_ = std::make_shared<Outside>();
    owner_ = Owner();
    v1::Limits limits = PublishedDefaultLimits();
    limits.set_max_steps(1000);
    limits.set_max_tool_calls(1000);
    testing::Journal journal(std::move(limits));
    Create(journal);
    const auto session = MakeSession(std::move(journal), testing::MakePlan(model, {echo}), Session::Origin::kCreated);
    store_->holds = true;
    for (int i = 0; i < shift; ++i) SendInput(*session);
    session->Start();
    context_.poll();
    const size_t before = store_->appends.size();
    SendInput(*session);
    context_.poll();
    any_waited |= store_->appends.size() > before;
    store_->ReleaseAllButOne();  // that of the input
    for (int i = 0; i < 1000 && outside_->said.empty(); ++i) context_.run_one_for(std::chrono::milliseconds(1));
    store_->Release();
    RunUntil(outside_->stopped);
    RunUntil(owner_.ended);
    for (const auto& [said, published] : outside_->said) EXPECT_LE(std::stoi(said), published) << "shift " << shift;
    CloseStore();
    file_ = absl::StrCat(shift, ".db");
    OpenStore();
  }
  EXPECT_TRUE(any_waited);
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
  std::shared_ptr<FakeTool> Make(const std::string& name = "deaf") {
    return std::make_shared<FakeTool>(name, v1::SIDE_EFFECT_READ_ONLY, [this](ToolRequest, ProgressSink& progress) { return Call(progress); });
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

// What a tool says goes to watchers as it is, and text that is not UTF-8 would break their streams.
TEST_F(SessionTest, WhatAToolSaysOfItsProgressIsValidAndShort) {
  auto tool = std::make_shared<FakeTool>("deaf", v1::SIDE_EFFECT_READ_ONLY, [](ToolRequest, ProgressSink& progress) -> asio::awaitable<ToolOutcome> {
    progress.Progress("half\xff", std::nullopt);
    progress.Progress(std::string(kProgressBytesMax + 1, 'x'), std::nullopt);
    co_return Done("done");
  });
  const auto session = MakeSession(testing::MakePlan(std::make_shared<FakeModel>(AsksDeafTool), {tool}));
  session->Start();
  RunUntil(outside_->stopped);
  RunUntil(owner_.ended);
  CloseStore();
  ASSERT_GE(outside_->progress.size(), 2u);
  EXPECT_EQ(outside_->progress[0], "half\xEF\xBF\xBD");
  EXPECT_EQ(outside_->progress[1], std::string(kProgressBytesMax, 'x'));
}

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

// A count that is shown before the stop is durable tells of one that a crash can take back.
TEST_F(SessionTest, ALateResultIsCountedWhenTheStopIsDurable) {
  DeafTool deaf;
  const auto session = MakeSession(testing::MakePlan(std::make_shared<FakeModel>(AsksDeafTool), {deaf.Make()}));
  session->Start();
  RunUntil(deaf.called);
  store_->holds = true;
  SendCancel(*session);
  while (store_->appended.back() != v1::Event::kRunStopped) context_.run_one();
  deaf.GoOn();
  context_.poll();
  EXPECT_EQ(owner_.late_results, 0);
  store_->Release();
  RunUntil(owner_.ended);
  EXPECT_EQ(owner_.late_results, 1);
}

// What still calls when the grace of a cancel ends is settled by the append that stops the run: a crash finds both or neither.
TEST_F(SessionTest, AStopSettlesWhatIsOpenInOneAppend) {
  DeafTool first, second;
  auto model =
      std::make_shared<FakeModel>([](ModelRequest, DeltaSink&) -> asio::awaitable<ModelOutcome> { co_return Calls({{"first", "{}"}, {"second", "{}"}}); });
  const auto session = MakeSession(testing::MakePlan(model, {first.Make("first"), second.Make("second")}));
  session->Start();
  RunUntil(first.called);
  RunUntil(second.called);
  SendCancel(*session);
  RunUntil(outside_->stopped);
  EXPECT_THAT(store_->appends.back(), ElementsAre(v1::Event::kCallFinished, v1::Event::kCallFinished, v1::Event::kRunStopped));
  first.GoOn();
  second.GoOn();
  RunUntil(owner_.ended);
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

// A place among the requests under way, and whether its request may be forgotten.
class PlaceOfTest final : public Hold {
 public:
  explicit PlaceOfTest(bool& returned) : returned_(returned) {}
  ~PlaceOfTest() override { returned_ = true; }

 private:
  bool& returned_;
};

// A tool that returns so many bytes, and keeps a place for them.
std::shared_ptr<FakeTool> PlacedTool(size_t bytes, bool& called, bool& returned) {
  return std::make_shared<FakeTool>("placed", v1::SIDE_EFFECT_READ_ONLY, [=, &called, &returned](ToolRequest, ProgressSink&) -> asio::awaitable<ToolOutcome> {
    called = true;
    ToolDone done;
    done.parts.emplace_back().set_text(std::string(bytes, 'x'));
    done.place = std::make_unique<PlaceOfTest>(returned);
    co_return done;
  });
}

// Calls it once.
asio::awaitable<ModelOutcome> AsksPlacedTool(ModelRequest request, DeltaSink&) {
  co_return request.step == 1 ? Calls({{"placed", "{}"}}) : testing::Answer("done");
}

// However long the disk stays full: who gives a place back lets another result come.
TEST_F(SessionTest, AResultKeepsItsPlaceUntilItIsRecorded) {
  bool called = false;
  bool returned = false;
  const auto tool = PlacedTool(10, called, returned);
  tool->mutable_spec().local = false;
  const auto session = MakeSession(testing::MakePlan(std::make_shared<FakeModel>(AsksPlacedTool), {tool}));
  store_->holds = true;
  session->Start();
  context_.poll();
  ASSERT_FALSE(called) << "its intent is not durable";
  store_->full = true;
  store_->Release();
  RunUntil(called);
  context_.poll();
  EXPECT_FALSE(returned);
  store_->full = false;
  session->Nudge();
  RunUntil(returned);
  RunUntil(outside_->stopped);
  RunUntil(owner_.ended);
}

class LargeResultTest : public SessionTest {
 protected:
  // A session whose tool has returned more than an event holds, while `others` have the room for it.
  std::shared_ptr<Session> LargeResultWaitsForRoom(StagingRoom::Lease& others, bool& returned) {
    asio::co_spawn(context_, [&]() -> asio::awaitable<void> { others = co_await room_->Take(1); }, asio::detached);
    auto session = MakeSession(testing::MakePlan(std::make_shared<FakeModel>(AsksPlacedTool), {PlacedTool(kResultBytesMax + 1, called_, returned)}));
    session->Start();
    RunUntil(called_);
    context_.poll();
    return session;
  }

  bool called_ = false;  // the tool refers to it
};

TEST_F(LargeResultTest, ALargeResultKeepsItsPlaceUntilItHasRoom) {
  bool returned = false;
  StagingRoom::Lease others;
  const auto session = LargeResultWaitsForRoom(others, returned);
  ASSERT_NE(others, nullptr);
  EXPECT_FALSE(returned);
  store_->holds = true;
  others.reset();
  RunUntil(returned);
  EXPECT_FALSE(outside_->stopped) << "the room bounds it now, until it is durable";
  store_->Release();
  RunUntil(outside_->stopped);
  RunUntil(owner_.ended);
}

TEST_F(LargeResultTest, AResultThatIsAbandonedGivesItsPlaceBack) {
  bool returned = false;
  StagingRoom::Lease others;
  const auto session = LargeResultWaitsForRoom(others, returned);
  EXPECT_FALSE(returned);
  session->Park();
  session->Abandon();
  room_->Close();
  RunUntil(returned);
  RunUntil(owner_.ended);
}

}  // namespace
}  // namespace agentruntime
