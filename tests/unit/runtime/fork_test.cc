// Forks: the pure rules over journals built by hand, and the whole runtime.
#include "runtime/fork.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/ask.h"
#include "runtime/steps.h"
#include "runtime/view.h"
#include "tests/support/await.h"
#include "tests/support/counter.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/latch.h"
#include "tests/unit/runtime/journal_fixture.h"
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
using testing::Journal;
using testing::JournalTest;
using testing::RuntimeTest;
using testing::TestRuntime;

class ForkTest : public JournalTest {
 protected:
  void Decide(Journal& journal, ModelOutcome outcome) {
    JournalTest::Decide(journal, std::move(outcome));
    journal.Settle(*plan);
  }
  void End(Journal& journal, int32_t index, ToolOutcome outcome) {
    JournalTest::End(journal, index, std::move(outcome));
    journal.Settle(*plan);
  }
  void Add(Journal& journal, std::function<void(v1::Event&)> fill) {
    v1::Event fact;
    fact.set_step(journal.state.usage.steps());
    fill(fact);
    journal.Add(std::move(fact));
  }
  static Journal Prefix(const Journal& source, size_t count) {
    Journal prefix;
    prefix.state = RunState();
    prefix.events.assign(source.events.begin(), source.events.begin() + static_cast<ptrdiff_t>(count));
    for (const EventPtr& event : prefix.events) Apply(prefix.state, event);
    return prefix;
  }
  // A fork of a run behind the events of `journal`.
  static void Fork(Journal& journal, ForkRequest request = {}) {
    journal.epoch = journal.state.epoch + 1;
    journal.now += absl::Hours(1);
    journal.active = journal.state.active;
    request.source = RunId::New(journal.now, 7, 7);
    journal.state.id = RunId::New(journal.now, 8, 8);
    const ForkBase base{journal.state, journal.state.agent(), journal.state.limits};
    v1::Limits limits = base.limits;
    limits.MergeFrom(request.limits);
    journal.Add(ForkedEvent(base, request, request.agent.empty() ? base.agent : request.agent, limits, Caller(), journal.now, journal.epoch));
  }
  // A journal in which about everything happens.
  Journal Eventful() {
    Journal journal;
    plan = testing::MakePlan(model, {safe, unsafe});
    auto agent = std::make_shared<v1::Agent>(*plan->agent);
    agent->set_on_uncertain_call(v1::UNCERTAIN_CALL_ACTION_ASK);
    std::const_pointer_cast<RunPlan>(plan)->agent = agent;
    Decide(journal, Calls({{"safe", "{}"}, {"unsafe", "{}"}}));
    End(journal, 1, Done("one"));
    End(journal, 2, ToolUnknown{"the connection was lost"});
    EXPECT_EQ(journal.state.phase, v1::RUN_STATE_WAITING);
    Resolution resolution;
    resolution.answer.mutable_run_again();
    resolution.request_id = "answer";
    journal.AddAll(FactsOfAnswer(*journal.state.FindCall({1, 2}), std::move(resolution)));
    journal.Settle(*plan);
    End(journal, 2, Done("two"));
    Decide(journal, testing::ModelError("MODEL_UNAVAILABLE", true));
    journal.now += absl::Minutes(1);
    Decide(journal, Calls({{"unknown", "{}"}}));
    Decide(journal, Calls({{"safe", "{}"}}));
    Add(journal, [](v1::Event& fact) { fact.mutable_input_received()->add_input()->set_text("more"); });
    Add(journal, [](v1::Event& fact) { fact.mutable_cancel_requested()->mutable_cancellation()->set_principal("somebody"); });
    journal.active += absl::Minutes(1);
    journal.Settle(*plan);
    EXPECT_TRUE(journal.state.is_stopped());
    Add(journal, [](v1::Event& fact) { fact.mutable_run_resumed()->set_request_id("resume"); });
    Decide(journal, Answer("done"));
    EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
    return journal;
  }
};

// Wherever a step ends the journal can be forked; what was done before it is not done again, and what befell the source is not the fork's.
TEST_F(ForkTest, GoesOnFromTheEndOfEachStepOfAnyJournal) {
  const Journal source = Eventful();
  int32_t forks = 0;
  for (size_t count = 1; count <= source.events.size(); ++count) {
    Journal fork = Prefix(source, count);
    const int32_t step = fork.state.usage.steps();
    if (step != forks || !IsEndOfStep(fork.state, step)) continue;
    ++forks;
    Fork(fork);
    const std::string what = absl::StrCat("behind event ", count, ", step ", step);
    EXPECT_EQ(fork.state.phase, v1::RUN_STATE_QUEUED) << what;
    EXPECT_FALSE(fork.state.is_cancelling()) << what;
    EXPECT_EQ(fork.state.stopped, nullptr) << what;
    EXPECT_TRUE(fork.state.seen_requests.empty()) << what;
    EXPECT_FALSE(fork.state.start_time) << what;
    EXPECT_EQ(fork.state.answer_sequence, 0) << what;
    EXPECT_EQ(fork.state.usage.steps(), step) << what;

    const Next first = fork.WhatNext(*plan);
    ASSERT_EQ(first.facts.size(), 1u) << what;
    EXPECT_EQ(first.facts[0].run_started().cause(), v1::START_CAUSE_FIRST) << what;
    fork.Settle(*plan);
    const Next next = fork.WhatNext(*plan);
    ASSERT_EQ(next.effects.size(), 1u) << what;
    EXPECT_TRUE(next.effects[0].is_model()) << what;
    EXPECT_EQ(next.effects[0].attempt, 1) << what;
    EXPECT_EQ(fork.events.back()->step(), step + 1) << what;
    Decide(fork, Answer("another answer"));
    ASSERT_TRUE(fork.state.is_stopped()) << what;
    EXPECT_EQ(fork.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << what;
    EXPECT_EQ(RunOf(fork.state).answer(0).text(), "another answer") << what;

    // Every prefix of the fork's own journal recovers.
    for (size_t cut = count + 1; cut <= fork.events.size(); ++cut) {
      Journal recovered = Prefix(fork, cut);
      recovered.epoch = fork.epoch + 1;
      recovered.now = fork.now;
      recovered.active = recovered.state.active;
      recovered.Settle(*plan);
      for (const Effect& effect : recovered.WhatNext(*plan).effects) EXPECT_TRUE(effect.is_model()) << what << ", cut at " << cut;
    }
  }
  EXPECT_EQ(forks, source.state.usage.steps() + 1);
}

TEST_F(ForkTest, AStepWithOpenCallsHasNoEnd) {
  plan = testing::MakePlan(model, {safe});
  Journal journal;
  EXPECT_TRUE(IsEndOfStep(journal.state, 0));
  Decide(journal, Calls({{"safe", "{}"}, {"safe", "{}"}}));
  EXPECT_FALSE(IsEndOfStep(journal.state, 1));
  End(journal, 2, Done("x"));
  EXPECT_FALSE(IsEndOfStep(journal.state, 1));
  End(journal, 1, Done("x"));
  EXPECT_TRUE(IsEndOfStep(journal.state, 1));
}

TEST_F(ForkTest, CountsWhatItShares) {
  plan = testing::MakePlan(model, {safe});
  Journal journal;
  Decide(journal, Calls({{"safe", "{}"}}));
  End(journal, 1, Done("x"));
  const v1::Usage usage = journal.state.usage;
  journal = Prefix(journal, journal.events.size() - 1);  // without the model's next attempt
  ForkRequest request;
  request.limits.set_max_steps(1);
  request.labels = {{"team", "search"}};
  request.input.emplace_back().set_text("shorter");
  Fork(journal, request);
  EXPECT_EQ(journal.state.usage.SerializeAsString(), usage.SerializeAsString());
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_MAX_STEPS);
  const v1::Run run = RunOf(journal.state);
  EXPECT_EQ(run.labels().at("team"), "search");
  EXPECT_EQ(run.input(0).text(), "the question");
  EXPECT_EQ(run.forked_from().sequence(), 6);
  EXPECT_EQ(FromProto(run.create_time()), journal.now);
  EXPECT_EQ(std::get<InputItem>(journal.state.history.back()).event->run_forked().input(0).text(), "shorter");
}

TEST_F(ForkTest, CallsThatChangeSomethingAreDeniedUnlessItsCallerAllowedThem) {
  plan = testing::MakePlan(model, {safe, unsafe});
  for (const bool allowed : {false, true}) {
    Journal journal;
    ForkRequest request;
    request.allow_side_effects = allowed;
    Fork(journal, request);
    Decide(journal, Calls({{"unsafe", "{}"}, {"safe", "{}"}}));
    const CallState& call = *journal.state.FindCall({1, 1});
    EXPECT_EQ(journal.state.FindCall({1, 2})->phase, CallPhase::kOpen);
    if (allowed) {
      EXPECT_EQ(call.phase, CallPhase::kOpen);
      continue;
    }
    ASSERT_EQ(call.phase, CallPhase::kSettled);
    EXPECT_EQ(call.attempts, 0);
    EXPECT_EQ(call.finished->call_finished().outcome(), v1::CALL_OUTCOME_DENIED);
    EXPECT_THAT(call.finished->call_finished().result(0).text(), ::testing::HasSubstr("read-only"));
  }
}

TEST_F(ForkTest, AForkOfAForkIsItsOwn) {
  plan = testing::MakePlan(model, {safe, unsafe});
  Journal journal;
  ForkRequest first;
  first.allow_side_effects = true;
  first.agent = "agents/other/revisions/2";
  first.deadline = journal.now + absl::Hours(9);
  Fork(journal, first);
  EXPECT_EQ(journal.state.agent(), "agents/other/revisions/2");
  EXPECT_LT(journal.state.deadline, absl::InfiniteFuture());
  Decide(journal, Calls({{"safe", "{}"}}));
  End(journal, 1, Done("x"));
  journal = Prefix(journal, journal.events.size() - 1);
  Fork(journal);
  EXPECT_FALSE(journal.state.allow_side_effects);
  EXPECT_EQ(journal.state.deadline, absl::InfiniteFuture());
  EXPECT_EQ(RunOf(journal.state).forked_from().sequence(), 7);
}

// The whole runtime over a real store.
// A store of one run.
class OneJournal final : public testing::ForwardingStore {
 public:
  explicit OneJournal(const Journal& journal) : ForwardingStore(nullptr), journal_(journal) {}
  absl::StatusOr<RunRecord> GetRun(const RunId& run) override {
    RunRecord record;
    record.id = run;
    record.agent = journal_.state.agent();
    record.projection = ProjectionOf(journal_.state);
    return record;
  }
  absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId&, Sequence after, ReadLimit) override {
    std::vector<EventPtr> events;
    for (const EventPtr& event : journal_.events) {
      if (event->sequence() > after) events.push_back(event);
    }
    return events;
  }

 private:
  const Journal& journal_;
};

// It would have to stop with its first event, beyond the bounds.
TEST_F(ForkTest, AStepThatLeavesNoRoomIsNotForked) {
  for (const int64_t skipped : {kEventsMax / 2, kEventsMax - 100}) {
    Journal journal;
    journal.Settle(*plan);
    journal.state.last_sequence += skipped;
    Decide(journal, Calls({{"safe", "{}"}}));
    End(journal, 1, Done("found"));
    OneJournal store(journal);
    ForkRequest request;
    request.source = journal.state.id;
    const auto early = LoadForkBase(store, request);
    EXPECT_TRUE(early.ok()) << early.status();
    request.step = 1;
    const auto late = LoadForkBase(store, request);
    if (skipped == kEventsMax / 2) {
      EXPECT_TRUE(late.ok()) << late.status();
    } else {
      EXPECT_EQ(ReasonOf(late.status()), v1::ERROR_REASON_JOURNAL_FULL) << late.status();
    }
  }
}

class ForkRunTest : public RuntimeTest {
 protected:
  TestRuntime::Config Config(FakeModel::Behaviour behaviour) {
    TestRuntime::Config config = RuntimeTest::Config(std::move(behaviour));
    for (const auto& [name, side_effect] : {std::pair("read", v1::SIDE_EFFECT_READ_ONLY), std::pair("change", v1::SIDE_EFFECT_IDEMPOTENT)}) {
      config.tools.push_back(std::make_shared<FakeTool>(name, side_effect, [this](ToolRequest request, ProgressSink&) {
        ++called;
        return Immediately(Done(absl::StrCat("result ", request.call.ToString())));
      }));
    }
    return config;
  }
  // Two steps with a call each, then the answer.
  FakeModel::Behaviour TwoSteps(std::string tool = "read") {
    return [this, tool](ModelRequest request, DeltaSink&) {
      asked.Add();
      return Immediately(request.step <= 2 ? Calls({{tool, "{}"}}) : Answer(absl::StrCat("answer ", request.step)));
    };
  }
  static ForkRequest Of(const v1::Run& run, int32_t step) {
    ForkRequest request;
    request.source = *ParseRunName(run.name());
    request.step = step;
    return request;
  }
  static absl::StatusOr<v1::Run> Fork(TestRuntime& runtime, ForkRequest request) { return runtime.Await(runtime->ForkRun(std::move(request), Caller())); }

  std::atomic<int> called = 0;
  testing::Counter asked;
};

TEST_F(ForkRunTest, SharesTheStepsAndDoesTheRest) {
  TestRuntime runtime(Config(TwoSteps()));
  const v1::Run source = runtime.RunToStop();
  const auto before = runtime.Events(source.name());
  called = 0;
  asked.Reset();
  const auto fork = Fork(runtime, Of(source, 1));
  ASSERT_TRUE(fork.ok()) << fork.status();
  EXPECT_EQ(fork->forked_from().run(), source.name());
  const v1::Run stopped = runtime.WaitForStop(fork->name());
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(stopped.usage().steps(), 3);
  EXPECT_EQ(stopped.usage().tool_calls(), 2);
  EXPECT_EQ(called, 1) << "the call of step 1 is not made again";
  EXPECT_EQ(asked.value(), 2);
  EXPECT_EQ(stopped.title(), source.title());

  const auto events = runtime.Events(fork->name());
  const auto shared = static_cast<size_t>(fork->forked_from().sequence());
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i]->sequence(), static_cast<Sequence>(i) + 1);
    if (i < shared) EXPECT_EQ(events[i]->SerializeAsString(), before[i]->SerializeAsString());
  }
  EXPECT_TRUE(events[shared]->has_run_forked());
  EXPECT_NE(events[shared + 4]->call_started().idempotency_key(), before[shared + 3]->call_started().idempotency_key()) << "another run, another key";
  EXPECT_EQ(runtime.Events(source.name()).size(), before.size());

  const auto steps = runtime.Await(runtime->ListSteps(*ParseRunName(fork->name()), {}, ReadLimit()));
  ASSERT_TRUE(steps.ok()) << steps.status();
  ASSERT_EQ(steps->first.size(), 3u);
  EXPECT_EQ(steps->first[0].name(), FormatStepName(*ParseRunName(fork->name()), 1));
  const auto listed = runtime.Await(runtime->ListRuns(RunQuery()));
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->first.size(), 2u);  // two runs of one millisecond are listed in either order
  EXPECT_EQ(listed->first[0].forked_from().run() + listed->first[1].forked_from().run(), source.name());
}

TEST_F(ForkRunTest, AnAnswerNeedsInputToGoOn) {
  TestRuntime runtime(Config(TwoSteps()));
  const v1::Run source = runtime.RunToStop();
  ForkRequest request = Of(source, 3);
  EXPECT_EQ(ReasonOf(Fork(runtime, request).status()), v1::ERROR_REASON_INVALID_FIELD);
  request.input.emplace_back().set_text("and now?");
  const auto fork = Fork(runtime, request);
  ASSERT_TRUE(fork.ok()) << fork.status();
  EXPECT_EQ(runtime.WaitForStop(fork->name()).answer(0).text(), "answer 4");
}

TEST_F(ForkRunTest, RefusesWhatCannotBe) {
  TestRuntime runtime(Config(TwoSteps()));
  const v1::Run source = runtime.RunToStop();
  EXPECT_EQ(ReasonOf(Fork(runtime, Of(source, 9)).status()), v1::ERROR_REASON_STEP_NOT_FOUND);
  ForkRequest request = Of(source, 1);
  request.source = RunId::New(absl::Now(), 1, 1);
  EXPECT_EQ(ReasonOf(Fork(runtime, request).status()), v1::ERROR_REASON_RUN_NOT_FOUND);
  request = Of(source, 1);
  request.agent = "agents/nobody";
  EXPECT_EQ(ReasonOf(Fork(runtime, request).status()), v1::ERROR_REASON_AGENT_NOT_FOUND);
  request = Of(source, 1);
  request.limits.set_max_steps(kMaxStepsMaximum + 1);
  EXPECT_EQ(ReasonOf(Fork(runtime, request).status()), v1::ERROR_REASON_INVALID_FIELD);
  v1::Run last = source;
  for (int depth = 1; depth <= kForkDepthMax; ++depth) {
    const auto fork = Fork(runtime, Of(last, 1));
    ASSERT_TRUE(fork.ok()) << depth << ": " << fork.status();
    last = runtime.WaitForStop(fork->name());
  }
  EXPECT_EQ(ReasonOf(Fork(runtime, Of(last, 1)).status()), v1::ERROR_REASON_FORK_TOO_DEEP);
  EXPECT_EQ(runtime.Events(last.name()).size(), static_cast<size_t>(last.last_sequence()));
}

TEST_F(ForkRunTest, AStepUnderWayCannotBeShared) {
  testing::Latch go;
  TestRuntime::Config config = Config(TwoSteps("slow"));
  config.tools.push_back(std::make_shared<FakeTool>("slow", v1::SIDE_EFFECT_READ_ONLY, [&go](ToolRequest, ProgressSink&) -> asio::awaitable<ToolOutcome> {
    co_await go.Opened();
    co_return Done("at last");
  }));
  TestRuntime runtime(std::move(config));
  const auto source = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(source.ok()) << source.status();
  absl::Status status;
  testing::AwaitThat("step 1 is decided and durable", [&] {
    status = Fork(runtime, Of(*source, 1)).status();
    return !absl::IsNotFound(status);
  });
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_STEP_NOT_OVER);
  go.Open();
  const auto fork = Fork(runtime, Of(*source, 0));
  ASSERT_TRUE(fork.ok()) << "the source may be at work: " << fork.status();
  EXPECT_EQ(runtime.WaitForStop(fork->name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(runtime.WaitForStop(source->name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(ForkRunTest, ItsBaseCannotBeDeletedBeforeIt) {
  TestRuntime runtime(Config(TwoSteps()));
  const v1::Run source = runtime.RunToStop();
  const auto fork = Fork(runtime, Of(source, 1));
  ASSERT_TRUE(fork.ok()) << fork.status();
  runtime.WaitForStop(fork->name());
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->DeleteRun(*ParseRunName(source.name())))), v1::ERROR_REASON_RUN_HAS_FORKS);
  EXPECT_TRUE(runtime.Await(runtime->DeleteRun(*ParseRunName(fork->name()))).ok());
  EXPECT_TRUE(runtime.Await(runtime->DeleteRun(*ParseRunName(source.name()))).ok());
}

TEST_F(ForkRunTest, ARequestIdIsOneFork) {
  TestRuntime runtime(Config(TwoSteps()));
  const v1::Run source = runtime.RunToStop();
  ForkRequest request = Of(source, 1);
  request.request_id = "fork-1";
  request.request_hash = "hash";
  const auto first = Fork(runtime, request);
  const auto second = Fork(runtime, request);
  ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
  EXPECT_EQ(first->name(), second->name());
  const v1::RunForked forked = runtime.Events(first->name()).at(static_cast<size_t>(first->forked_from().sequence()))->run_forked();
  EXPECT_EQ(forked.request_id(), "fork-1");
  EXPECT_EQ(forked.request_hash(), "hash");
  request.request_hash = "another";
  EXPECT_EQ(ReasonOf(Fork(runtime, request).status()), v1::ERROR_REASON_REQUEST_ID_REUSED);
  CreateRequest create = runtime.Request();
  create.request_id = "fork-1";
  create.request_hash = "create";
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->CreateRun(create, Caller())).status()), v1::ERROR_REASON_REQUEST_ID_REUSED);
}

TEST_F(ForkRunTest, GoesOnAfterARestartAndRepeatsNothing) {
  std::atomic<bool> hold = false;
  const auto behaviour = [this, &hold](ModelRequest request, DeltaSink&) -> asio::awaitable<ModelOutcome> {
    asked.Add();
    if (request.step == 2 && hold) co_await Forever();
    co_return request.step <= 2 ? Calls({{"read", "{}"}}) : Answer("done");
  };
  std::string name;
  {
    TestRuntime runtime(Config(behaviour));
    const v1::Run source = runtime.RunToStop();
    hold = true;
    called = 0;
    asked.Reset();
    const auto fork = Fork(runtime, Of(source, 1));
    ASSERT_TRUE(fork.ok()) << fork.status();
    name = fork->name();
    ASSERT_TRUE(asked.Await(1));
    runtime.Stop(absl::ZeroDuration());
  }
  hold = false;
  asked.Reset();
  TestRuntime runtime(Config(behaviour));
  const v1::Run stopped = runtime.WaitForStop(name);
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(asked.value(), 2) << "steps 2 and 3";
  EXPECT_EQ(called, 1) << "of step 2 alone";
}

}  // namespace
}  // namespace agentruntime
