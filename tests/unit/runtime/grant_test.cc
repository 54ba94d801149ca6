// Calls that other runs answer, over journals built by hand: which run that is, what it is granted, what is booked of it.
#include "runtime/grant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "runtime/commands.h"
#include "runtime/idempotency.h"
#include "runtime/view.h"
#include "tests/unit/runtime/journal_fixture.h"

namespace agentruntime {
namespace {

using testing::Calls;
using testing::Done;
using testing::FakeTool;
using ::testing::HasSubstr;
using testing::Journal;
using testing::JournalTest;
using testing::MakePlan;

class GrantTest : public JournalTest {
 protected:
  GrantTest() {
    ask->mutable_spec().child = ChildSpec{"agents/worker", v1::Limits()};
    ask->mutable_spec().local = false;
    ask->mutable_spec().attempts_max = 1;
    ask->mutable_spec().timeout = absl::Hours(1);
    plan = MakePlan(model, {ask});
  }

  static v1::Limits Limits(int64_t max_tokens) {
    v1::Limits limits = PublishedDefaultLimits();
    limits.set_max_tokens(max_tokens);
    return limits;
  }
  // A step of so many calls of `ask`, all of them started; the model used 30 tokens.
  void Ask(Journal& journal, int calls) const {
    ModelOutcome outcome = Calls(std::vector<std::pair<std::string, std::string>>(static_cast<size_t>(calls), {"ask", R"({"input":"do it"})"}));
    outcome.usage->set_input_tokens(20);
    outcome.usage->set_output_tokens(10);
    Decide(journal, std::move(outcome));
    journal.Settle(*plan);
  }
  static ToolOutcome Used(ToolOutcome outcome, int64_t input, int64_t output) {
    auto usage = std::make_shared<v1::Usage>();
    usage->set_input_tokens(input);
    usage->set_output_tokens(output);
    if (auto* const done = std::get_if<ToolDone>(&outcome))
      done->usage = std::move(usage);
    else
      std::get<ToolFailed>(outcome).usage = std::move(usage);
    return outcome;
  }
  static const v1::Child& ChildAt(const Journal& journal, int index) { return journal.state.FindCall(CallId{1, index})->child->call_started().child(); }
  static const v1::CallFinished& FinishedAt(const Journal& journal, int index) { return journal.state.FindCall(CallId{1, index})->finished->call_finished(); }

  std::shared_ptr<FakeTool> ask = std::make_shared<FakeTool>("ask", v1::SIDE_EFFECT_IDEMPOTENT);
};

TEST_F(GrantTest, AChildsIdIsTheTimeOfItsCallAndBitsOfItsKey) {
  Journal journal;
  Ask(journal, 2);
  for (int i = 1; i <= 2; ++i) {
    const std::string key = IdempotencyKey(journal.state.id, CallId{1, i}, "ask", R"({"input":"do it"})");
    const RunId id = *ParseRunName(ChildAt(journal, i).run());
    EXPECT_EQ(id.time(), journal.now);
    EXPECT_EQ(id, RunId::New(journal.now, std::stoull(key.substr(0, 16), nullptr, 16), std::stoull(key.substr(16), nullptr, 16)));
  }
  EXPECT_NE(ChildAt(journal, 1).run(), ChildAt(journal, 2).run());
}

TEST_F(GrantTest, ChildrenOfAStepAndTheirParentHaveEqualShares) {
  Journal journal(Limits(30'030));
  Ask(journal, 2);
  EXPECT_EQ(ChildAt(journal, 1).grant().max_tokens(), 10'000);
  EXPECT_EQ(ChildAt(journal, 2).grant().max_tokens(), 10'000);
  EXPECT_FALSE(ChildAt(journal, 1).grant().has_max_cost_micros());
  EXPECT_EQ(OpenGrants(*journal.state.last_step()).input_tokens(), 20'000);
}

TEST_F(GrantTest, AShareIsCutToTheToolsOwnLimit) {
  ask->mutable_spec().child->limits.set_max_tokens(500);
  Journal journal(Limits(30'030));
  Ask(journal, 2);
  EXPECT_EQ(ChildAt(journal, 1).grant().max_tokens(), 500);
}

TEST_F(GrantTest, MoneyIsSharedWhereTheParentHasABudgetOfIt) {
  plan->price.emplace();
  v1::Limits limits = Limits(1'000'000);
  limits.set_max_cost_micros(9'000);
  Journal journal(limits);
  Ask(journal, 2);
  EXPECT_EQ(ChildAt(journal, 1).grant().max_cost_micros(), 3'000);
  EXPECT_EQ(ChildAt(journal, 2).grant().max_cost_micros(), 3'000);
}

TEST_F(GrantTest, TooLittleLeftBeginsNoChild) {
  Journal journal(Limits(30 + 3 * kGrantTokensMin - 1));
  Ask(journal, 2);
  EXPECT_EQ(FinishedAt(journal, 1).outcome(), v1::CALL_OUTCOME_NOT_RUN);
  EXPECT_THAT(FinishedAt(journal, 1).result(0).text(), HasSubstr("the run has 767 tokens left"));
}

TEST_F(GrantTest, WhatAChildUsedIsBookedAndTheRestOfItsGrantIsFree) {
  Journal journal(Limits(30'030));
  Ask(journal, 2);
  End(journal, 1, Used(Done("found"), 70, 7));
  EXPECT_EQ(BookedTokens(journal.state), 30 + 77);
  EXPECT_EQ(OpenGrants(*journal.state.last_step()).input_tokens(), 10'000);
  End(journal, 2, Used(ToolFailed{.message = "it stopped"}, 5, 5));
  EXPECT_EQ(FinishedAt(journal, 2).outcome(), v1::CALL_OUTCOME_ERROR);
  EXPECT_EQ(BookedTokens(journal.state), 30 + 77 + 10);
  EXPECT_EQ(OpenGrants(*journal.state.last_step()).input_tokens(), 0);
}

// A child's last call may use more than was reserved for it, and each child may have one. All of it counts, and nothing more is asked for.
TEST_F(GrantTest, WhatChildrenUsedBeyondTheirGrantsIsBookedAndNoDecisionFollows) {
  Journal journal(Limits(30'030));
  Ask(journal, 2);
  End(journal, 1, Used(Done("found"), 15'000, 100));
  End(journal, 2, Used(ToolFailed{.message = "it stopped"}, 15'000, 200));
  EXPECT_EQ(BookedTokens(journal.state), 30 + 15'100 + 15'200);
  const size_t events = journal.events.size();
  const v1::Stop& stop = StopOf(journal);
  EXPECT_EQ(journal.events.size(), events + 1) << "the model is not asked";
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_TOKEN_BUDGET);
  EXPECT_EQ(stop.limit().value(), 30'030);
}

TEST_F(GrantTest, MoneyThatChildrenSpentBeyondTheirGrantsIsBookedAndNoDecisionFollows) {
  plan->price.emplace();
  v1::Limits limits = Limits(1'000'000);
  limits.set_max_cost_micros(9'000);
  Journal journal(limits);
  Ask(journal, 2);
  for (int i = 1; i <= 2; ++i) {
    ToolOutcome outcome = Used(Done("found"), 10, 1);
    auto usage = std::make_shared<v1::Usage>(*std::get<ToolDone>(outcome).usage);
    usage->set_cost_micros(4'501);  // of 3,000
    std::get<ToolDone>(outcome).usage = std::move(usage);
    End(journal, i, std::move(outcome));
  }
  EXPECT_EQ(journal.state.usage.cost_micros(), 9'002);
  EXPECT_EQ(StopOf(journal).reason(), v1::STOP_REASON_COST_BUDGET);
}

TEST_F(GrantTest, WhereNobodyKnowsWhatItUsedTheGrantIsBooked) {
  Journal journal(Limits(30'030));
  Ask(journal, 2);
  End(journal, 1, ToolUnknown{"gone"});
  EXPECT_EQ(BookedTokens(journal.state), 30 + 10'000);
  v1::Stop stop;
  stop.set_reason(v1::STOP_REASON_TIMEOUT);
  journal.AddAll(StopFacts(journal.state, stop));
  EXPECT_EQ(FinishedAt(journal, 2).outcome(), v1::CALL_OUTCOME_CANCELLED);
  EXPECT_EQ(BookedTokens(journal.state), 30 + 20'000);
}

TEST_F(GrantTest, ASecondAttemptHasTheSameChildWhereverTheJournalIsCut) {
  Journal journal(Limits(30'030));
  Ask(journal, 2);
  const std::string first = ChildAt(journal, 1).SerializeAsString();
  End(journal, 2, Used(Done("found"), 70, 7));
  int again = 0;
  for (size_t length = 1; length <= journal.events.size(); ++length) {
    Journal cut(Limits(30'030));
    cut.state = RunState();
    cut.state.id = journal.state.id;
    for (size_t i = 0; i < length; ++i) Apply(cut.state, journal.events[i]);
    cut.epoch = 2;
    cut.now = journal.now + absl::Minutes(1);
    const CallState* call = cut.state.FindCall(CallId{1, 1});
    const bool begun = call != nullptr && call->child != nullptr;
    cut.Settle(*plan);
    call = cut.state.FindCall(CallId{1, 1});
    if (!begun) continue;
    ++again;
    EXPECT_EQ(call->phase, CallPhase::kOpen);
    EXPECT_EQ(call->attempts, 2);
    EXPECT_EQ(cut.events.back()->kind_case(), v1::Event::kCallStarted);
    EXPECT_EQ(call->child->call_started().child().SerializeAsString(), first);
    // Also in what is recorded of the second attempt.
    for (const EventPtr& event : cut.events) {
      if (event->call_started().call_id() == "1.1") {
        EXPECT_EQ(event->call_started().child().SerializeAsString(), first);
      }
    }
  }
  EXPECT_EQ(again, 3);
}

// An operator may change what a tool is between two starts. The call asks no other run any more, and the child is cancelled by the session, which sees that a
// call with a child is settled; what it used meanwhile nobody hears.
TEST_F(GrantTest, ACallWhoseToolAsksNoOtherRunAnyMoreIsSettledAndItsGrantBooked) {
  Journal journal(Limits(30'030));
  Ask(journal, 2);
  ask->mutable_spec().child.reset();
  ++journal.epoch;
  journal.Settle(*plan);
  for (int i = 1; i <= 2; ++i) {
    EXPECT_EQ(FinishedAt(journal, i).outcome(), v1::CALL_OUTCOME_ERROR);
    EXPECT_THAT(FinishedAt(journal, i).result(0).text(), HasSubstr("\"ask\" asks no other agent any more"));
    EXPECT_EQ(FinishedAt(journal, i).usage().input_tokens(), 10'000);
  }
  EXPECT_EQ(BookedTokens(journal.state), 30 + 20'000);
  EXPECT_TRUE(journal.state.model.open) << "it goes on without them";
}

TEST_F(GrantTest, ACallWhoseToolIsGoneBooksItsGrant) {
  Journal journal(Limits(30'030));
  Ask(journal, 1);
  plan->tools.clear();
  ++journal.epoch;
  journal.Settle(*plan);
  EXPECT_EQ(FinishedAt(journal, 1).outcome(), v1::CALL_OUTCOME_ERROR);
  EXPECT_THAT(FinishedAt(journal, 1).result(0).text(), HasSubstr("there is no tool named \"ask\""));
  EXPECT_EQ(FinishedAt(journal, 1).usage().input_tokens(), 15'000);
  EXPECT_EQ(BookedTokens(journal.state), 30 + 15'000);
}

TEST_F(GrantTest, ARunAtTheDepthBeginsNoChild) {
  Journal journal;
  auto created = std::make_shared<v1::Event>(*journal.events[0]);
  created->mutable_run_created()->set_depth(kRunDepthMax);
  journal.state = RunState();
  journal.state.id = RunId::New(journal.now, 1, 2);
  Apply(journal.state, created);
  Ask(journal, 1);
  EXPECT_EQ(FinishedAt(journal, 1).outcome(), v1::CALL_OUTCOME_NOT_RUN);
  EXPECT_THAT(FinishedAt(journal, 1).result(0).text(), HasSubstr("8 runs below"));
}

TEST_F(GrantTest, WaitingForChildrenIsNoTimeOfItsOwnAndHardlyABarrenStart) {
  Journal journal;
  Ask(journal, 2);
  EXPECT_TRUE(journal.state.awaits_children());
  EXPECT_FALSE(journal.state.is_active());
  EXPECT_EQ(ProjectionOf(journal.state).state, v1::RUN_STATE_RUNNING);
  EXPECT_FALSE(journal.WhatNext(*plan).wake.has_value());  // its timeout does not come nearer
  for (int i = 0; i < 2 * kBarrenStartsMax; ++i) {
    ++journal.epoch;
    journal.Settle(*plan);
  }
  EXPECT_EQ(journal.state.barren_starts, 2 * kBarrenStartsMax / kAwaitingStartsShare);
  EXPECT_TRUE(journal.state.awaits_children());
  End(journal, 1, Used(Done("found"), 1, 1));
  EXPECT_TRUE(journal.state.awaits_children());
  End(journal, 2, Used(Done("found"), 1, 1));
  EXPECT_TRUE(journal.state.is_active());
}

// What ends the server may be the answer of the child, each time that it comes.
TEST_F(GrantTest, ARunThatWaitsForAChildIsNotTakenUpForEver) {
  Journal journal;
  Ask(journal, 1);
  int starts = 0;
  for (; !journal.state.is_stopped() && starts < 1000; ++starts) {
    ++journal.epoch;
    journal.Settle(*plan);
  }
  EXPECT_EQ(starts, (kBarrenStartsMax + 1) * kAwaitingStartsShare);
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().error().reason(), "RECOVERY_LIMIT");
}

TEST_F(GrantTest, TheChildBeginsWithWhatTheParentSays) {
  ask->mutable_spec().child->limits.set_max_steps(3);
  Journal journal(Limits(30'030));
  Ask(journal, 1);
  const StepState& step = *journal.state.last_step();
  const ToolRequest request = BuildToolRequest(journal.state, *plan, step, step.calls[0]);
  ASSERT_NE(request.child, nullptr);
  EXPECT_EQ(RunName(request.child->run), ChildAt(journal, 1).run());
  EXPECT_EQ(request.child->agent, "agents/worker");
  EXPECT_EQ(request.child->limits.max_steps(), 3);
  EXPECT_EQ(request.child->grant.max_tokens(), 15'000);
  EXPECT_EQ(request.child->depth, 1);
  EXPECT_EQ(request.child->deadline, journal.now + absl::Hours(1));
  journal.state.deadline = journal.now + absl::Minutes(1);
  EXPECT_EQ(BuildToolRequest(journal.state, *plan, step, step.calls[0]).child->deadline, journal.now + absl::Minutes(1));
}

TEST_F(GrantTest, TheStopOfAChildIsFinal) {
  Journal journal;
  auto created = std::make_shared<v1::Event>(*journal.events[0]);
  created->mutable_run_created()->set_parent_call("runs/x/calls/1.1");
  journal.state = RunState();
  journal.state.id = RunId::New(journal.now, 1, 2);
  Apply(journal.state, created);
  journal.Settle(*plan);
  v1::Stop stop;
  stop.set_reason(v1::STOP_REASON_MAX_STEPS);
  stop.set_resumable(true);
  journal.AddAll(StopFacts(journal.state, stop));
  EXPECT_FALSE(journal.state.stopped->run_stopped().stop().resumable());
  EXPECT_THAT(std::string(CheckResume(journal.state, journal.now, v1::Limits(), std::nullopt).message()), HasSubstr("answers runs/x/calls/1.1"));
}

// What a person could do about it is no business of the model that gets it as a result.
TEST_F(GrantTest, TheStopOfAChildAsksNobodyToResumeIt) {
  for (const bool child : {false, true}) {
    Journal journal;
    auto created = std::make_shared<v1::Event>(*journal.events[0]);
    if (child) created->mutable_run_created()->set_parent_call("runs/x/calls/1.1");
    journal.state = RunState();
    journal.state.id = RunId::New(journal.now, 1, 2);
    Apply(journal.state, created);
    RunPlan without = *plan;
    without.model = nullptr;
    journal.Settle(without);
    const v1::Stop& stop = journal.state.stopped->run_stopped().stop();
    EXPECT_EQ(stop.error().reason(), "MODEL_MISSING");
    EXPECT_EQ(stop.resumable(), !child);
    EXPECT_THAT(stop.detail(), HasSubstr("is not configured on this server any more"));
    EXPECT_EQ(stop.detail().find("resume") != std::string::npos, !child) << stop.detail();
  }
}

}  // namespace
}  // namespace agentruntime
