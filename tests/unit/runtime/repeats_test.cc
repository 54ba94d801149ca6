// A model that goes in circles: what a repeated step is, and where it stops.
#include "runtime/repeats.h"

#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/time.h"
#include "runtime/commands.h"
#include "tests/unit/runtime/journal_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::Done;
using testing::FakeTool;
using testing::Journal;
using testing::JournalTest;

using Asked = std::vector<std::pair<std::string, std::string>>;

class RepeatsTest : public JournalTest {
 protected:
  RepeatsTest() { plan = testing::MakePlan(model, {std::make_shared<FakeTool>("a"), std::make_shared<FakeTool>("b")}); }

  static v1::Limits Limits(int32_t repeats) {
    v1::Limits limits = PublishedDefaultLimits();
    limits.set_max_repeats(repeats);
    return limits;
  }
  void Decide(Journal& journal, ModelOutcome outcome) {
    JournalTest::Decide(journal, std::move(outcome));
    journal.Settle(*plan);
  }
  // A step whose calls all end so.
  using Ends = std::function<ToolOutcome()>;
  void Step(Journal& journal, const Asked& asked = {{"a", "{}"}}, const Ends& ends = [] { return Done("x"); }) {
    Decide(journal, Calls(asked));
    for (const CallState& call : journal.state.last_step()->calls) {
      if (call.phase == CallPhase::kOpen) End(journal, call.id.index, ends());
    }
    journal.Settle(*plan);
  }
  static void Say(Journal& journal) {
    v1::Event said;
    said.mutable_input_received()->add_input()->set_text("try something else");
    journal.Add(std::move(said));
  }
  static void Resume(Journal& journal, int32_t repeats, bool input) {
    v1::Event resumed;
    if (repeats > 0) resumed.mutable_run_resumed()->mutable_limits()->set_max_repeats(repeats);
    if (input) resumed.mutable_run_resumed()->add_input()->set_text("try something else");
    journal.Add(std::move(resumed));
  }
};

TEST_F(RepeatsTest, TheSameStepsInARowStop) {
  Journal journal(Limits(3));
  Step(journal);
  Step(journal, {{"a", "{ }"}});  // written otherwise
  ASSERT_TRUE(journal.state.model.open);
  Step(journal);
  ASSERT_TRUE(journal.state.is_stopped());
  const v1::Stop& stop = journal.state.stopped->run_stopped().stop();
  EXPECT_EQ(stop.reason(), v1::STOP_REASON_LOOP_DETECTED);
  EXPECT_EQ(stop.limit().limit(), "max_repeats");
  EXPECT_EQ(stop.limit().value(), 3);
  EXPECT_EQ(stop.limit().count(), 3);
  EXPECT_EQ(stop.detail(), "the model asked for the same calls and read the same results 3 times in a row, the limit is 3");
  EXPECT_TRUE(stop.resumable());
}

TEST_F(RepeatsTest, AnyDifferenceBreaksTheRow) {
  const Ends same = [] { return Done("x"); };
  const Ends json = [] {
    ToolDone done;
    done.parts.emplace_back().set_json("x");
    return done;
  };
  const std::vector<std::pair<Asked, Ends>> others = {
      {{{"b", "{}"}}, same},                                       // another tool
      {{{"a", R"({"n":1})"}}, same},                               // other arguments
      {{{"a", "{}"}, {"a", "{}"}}, same},                          // one more
      {{{"a", "{}"}}, [] { return Done("y"); }},                   // another result
      {{{"a", "{}"}}, json},                                       // of another kind
      {{{"a", "{}"}}, [] { return ToolFailed{.message = "x"}; }},  // another outcome
  };
  for (size_t i = 0; i < others.size(); ++i) {
    Journal journal(Limits(3));
    Step(journal);
    Step(journal);
    EXPECT_EQ(journal.state.repeats, 2);
    Step(journal, others[i].first, others[i].second);
    EXPECT_EQ(journal.state.repeats, 1) << i;
    EXPECT_TRUE(journal.state.model.open) << i;
  }
  Journal ordered(Limits(2));
  Step(ordered, {{"a", "{}"}, {"b", "{}"}});
  Step(ordered, {{"b", "{}"}, {"a", "{}"}});
  EXPECT_EQ(ordered.state.repeats, 1) << "in another order";
}

// Calls that were refused are compared as well, and nothing has bounded what a model wrote in them.
TEST_F(RepeatsTest, ArgumentsThatNoCheckWouldPassAreComparedAsTheyAreWritten) {
  const std::string open(131'000, '[');
  const std::string close(131'000, ']');
  for (const std::string& again : {open + close, open + " " + close}) {
    Journal journal(Limits(3));
    Step(journal, {{"unknown", open + close}});
    Step(journal, {{"unknown", again}});
    EXPECT_EQ(journal.state.repeats, again == open + close ? 2 : 1);
  }
}

TEST_F(RepeatsTest, InputBreaksTheRow) {
  Journal journal(Limits(2));
  Step(journal);
  Say(journal);
  EXPECT_EQ(journal.state.repeats, 0);
  Step(journal);
  EXPECT_EQ(journal.state.repeats, 1);
  // While a call is under way: the model has not read it yet.
  Decide(journal, Calls({{"b", "{}"}}));
  Say(journal);
  End(journal, 1, Done("x"));
  Step(journal, {{"b", "{}"}});
  EXPECT_EQ(journal.state.repeats, 1);
  EXPECT_TRUE(journal.state.model.open);
}

TEST_F(RepeatsTest, AResumeRaisesTheLimitOrBringsInput) {
  Journal journal(Limits(2));
  Step(journal);
  Step(journal);
  ASSERT_TRUE(journal.state.is_stopped());
  const std::vector<v1::Part> input(1);
  EXPECT_EQ(ReasonOf(CheckResume(journal.state, journal.now, v1::Limits(), std::nullopt)), v1::ERROR_REASON_LIMIT_NOT_RAISED);
  v1::Limits raised;
  raised.set_max_repeats(2);
  EXPECT_FALSE(CheckResume(journal.state, journal.now, raised, std::nullopt).ok());
  EXPECT_TRUE(CheckResume(journal.state, journal.now, v1::Limits(), std::nullopt, input).ok());
  raised.set_max_repeats(3);
  EXPECT_TRUE(CheckResume(journal.state, journal.now, raised, std::nullopt).ok());

  Resume(journal, 3, /*input=*/false);
  Step(journal);
  ASSERT_TRUE(journal.state.is_stopped()) << "it goes on counting";
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().limit().count(), 3);
  Resume(journal, 0, /*input=*/true);
  Step(journal);
  Step(journal);
  EXPECT_EQ(journal.state.repeats, 2);
  EXPECT_TRUE(journal.state.model.open) << "the row began anew";
}

// A grace step's calls are not run: that breaks no row, so that the limit stays met.
TEST_F(RepeatsTest, AGraceStepAnswersAndTheStopIsTheLimits) {
  auto agent = std::make_shared<v1::Agent>(*plan->agent);
  agent->set_grace_step(true);
  plan->agent = std::move(agent);
  for (const bool answers : {true, false}) {
    Journal journal(Limits(2));
    Step(journal);
    Step(journal);
    ASSERT_TRUE(journal.state.model.grace);
    Decide(journal, answers ? Answer("as far as I can tell") : Calls({{"a", "{}"}}));
    ASSERT_TRUE(journal.state.is_stopped());
    EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_LOOP_DETECTED);
  }
}

// It did not see the input, so it is no answer to it; a resume is.
TEST_F(RepeatsTest, InputWhileAGraceStepIsBeingMadeLeavesTheStopAsItIs) {
  auto agent = std::make_shared<v1::Agent>(*plan->agent);
  agent->set_grace_step(true);
  plan->agent = std::move(agent);
  Journal journal(Limits(2));
  Step(journal);
  Step(journal);
  ASSERT_TRUE(journal.state.model.open && journal.state.model.grace);
  Say(journal);
  Decide(journal, Answer("I am stuck"));
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_LOOP_DETECTED);
  EXPECT_TRUE(journal.state.stopped->run_stopped().stop().resumable());
}

TEST_F(RepeatsTest, OtherLimitsNameTheStopFirst) {
  v1::Limits limits = Limits(2);
  limits.set_max_steps(2);
  Journal journal(limits);
  Step(journal);
  Step(journal);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_MAX_STEPS);
}

// It keeps the limits that it was accepted with.
TEST_F(RepeatsTest, ARunThatIsOlderThanTheLimitHasNone) {
  v1::Limits limits = PublishedDefaultLimits();
  limits.clear_max_repeats();
  Journal journal(limits);
  for (int i = 0; i < 20; ++i) Step(journal);
  EXPECT_EQ(journal.state.repeats, 20);
  EXPECT_TRUE(journal.state.model.open);
}

// The count is of the journal, whoever owns it.
TEST_F(RepeatsTest, EveryPrefixRecovers) {
  Journal whole(Limits(3));
  for (int i = 0; i < 3; ++i) Step(whole);
  ASSERT_TRUE(whole.state.is_stopped());
  for (size_t cut = 1; cut <= whole.events.size(); ++cut) {
    Journal journal;
    journal.state = RunState();
    journal.state.id = whole.state.id;
    for (size_t i = 0; i < cut; ++i) Apply(journal.state, whole.events[i]);
    journal.epoch = 2;
    journal.Settle(*plan);
    for (int guard = 0; !journal.state.is_stopped() && guard < 5; ++guard) {
      const StepState* const step = journal.state.last_step();
      if (journal.state.model.open) {
        Step(journal);
      } else if (step->calls[0].phase == CallPhase::kOpen) {
        End(journal, 1, Done("x"));
        journal.Settle(*plan);
      }
    }
    ASSERT_TRUE(journal.state.is_stopped()) << "cut after " << cut;
    EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_LOOP_DETECTED) << "cut after " << cut;
    EXPECT_EQ(journal.state.usage.steps(), 3) << "cut after " << cut;
  }
}

}  // namespace
}  // namespace agentruntime
