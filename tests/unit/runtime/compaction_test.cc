// Contexts that outgrow the model's window are made shorter: what is kept, what it costs, and that there is an end of it.
#include "runtime/compaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "runtime/act.h"
#include "runtime/context.h"
#include "runtime/decide.h"
#include "runtime/part_text.h"
#include "runtime/shortening.h"
#include "runtime/view.h"
#include "tests/support/journal.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::Done;
using testing::FakeModel;
using testing::FakeTool;
using testing::Journal;
using testing::MakePlan;
using testing::ModelError;

class CompactionTest : public ::testing::Test {
 protected:
  CompactionTest() {
    model->mutable_info().context_tokens = 4'000;
    Want(v1::COMPACTION_STRATEGY_UNSPECIFIED);
  }
  void Want(v1::CompactionStrategy strategy) {
    auto agent = std::make_shared<v1::Agent>(*plan->agent);
    agent->set_compaction(strategy);
    agent->mutable_model_settings()->set_max_output_tokens(500);
    plan->agent = std::move(agent);
  }
  static v1::Limits Limits(int64_t tokens = 1'000'000) {
    v1::Limits limits = PublishedDefaultLimits();
    limits.set_max_steps(1'000);
    limits.set_max_tool_calls(1'000);
    limits.set_max_tokens(tokens);
    limits.set_max_repeats(1'000);  // its steps are all the same
    return limits;
  }

  void Say(Journal& journal, ModelOutcome outcome) {
    journal.AddAll(FactsOfOutcome(journal.state, *plan, std::move(outcome), absl::Milliseconds(1), journal.now, 0.5));
  }
  // Up to an open attempt to decide; an attempt to summarize is answered.
  void AwaitDecision(Journal& journal) {
    for (int guard = 0; guard < 20; ++guard) {
      journal.Settle(*plan);
      if (!journal.state.model.open || journal.state.model.purpose == v1::MODEL_PURPOSE_DECIDE) return;
      Say(journal, Answer("what was found out"));
    }
    FAIL() << "there is no end of it";
  }
  // One call whose result has `bytes`.
  void Step(Journal& journal, size_t bytes) {
    AwaitDecision(journal);
    ASSERT_TRUE(journal.state.model.open);
    Say(journal, Calls({{"safe", "{}"}}));
    journal.Settle(*plan);
    const CallState& call = journal.state.last_step()->calls[0];
    journal.Add(FactOfOutcome(call, *plan->tools.at("safe").spec, CallEnd{Done(std::string(bytes, 'x')), false, absl::Milliseconds(1)}, journal.now, 0.5));
  }
  ModelRequest Request(const Journal& journal) {
    MessageHistory history;
    return BuildModelRequest(journal.state, *plan, history);
  }
  static std::vector<v1::ContextCompacted> Compactions(const Journal& journal) {
    std::vector<v1::ContextCompacted> found;
    for (const EventPtr& event : journal.events) {
      if (event->has_context_compacted()) found.push_back(event->context_compacted());
    }
    return found;
  }
  // Each decision is followed by its results, each call has one.
  static void ExpectPaired(const Messages& messages) {
    for (size_t i = 0; i < messages.size(); ++i) {
      const auto* const said = std::get_if<AssistantMessage>(&messages[i]);
      if (said == nullptr) {
        ASSERT_FALSE(std::holds_alternative<ToolMessage>(messages[i]));
        continue;
      }
      for (int call = 0; call < said->decision->tool_calls_size(); ++call) {
        const auto* const result = std::get_if<ToolMessage>(&messages[++i]);
        ASSERT_NE(result, nullptr);
        ASSERT_EQ(result->finished->call_id(), said->decision->tool_calls(call).call_id());
      }
    }
  }
  // A question and its answer, of `bytes` together.
  void AddEarlier(size_t bytes) {
    auto question = std::make_shared<Parts>();
    question->Add()->set_text(std::string(bytes / 2, 'e'));
    auto answer = std::make_shared<v1::Decision>();
    answer->add_content()->set_text(std::string(bytes / 2, 'e'));
    plan->earlier = {UserMessage{question}, AssistantMessage{answer}};
    plan->earlier_bytes = static_cast<int64_t>(bytes);
  }
  static bool IsEarlier(const ModelMessage& message) {
    const auto is_earlier = [](const Parts& parts) { return !parts.empty() && parts[0].text().substr(0, 1) == "e"; };
    if (const auto* const said = std::get_if<UserMessage>(&message)) return is_earlier(*said->parts);
    const auto* const answered = std::get_if<AssistantMessage>(&message);
    return answered != nullptr && is_earlier(answered->decision->content());
  }
  static std::string ResultAt(const Messages& messages, int step) {
    for (const ModelMessage& message : messages) {
      const auto* const result = std::get_if<ToolMessage>(&message);
      if (result != nullptr && result->finished->call_id() == CallId{step, 1}.ToString()) return result->finished->result(0).text();
    }
    return "";
  }

  std::shared_ptr<FakeModel> model = std::make_shared<FakeModel>();
  std::shared_ptr<RunPlan> plan = MakePlan(model, {std::make_shared<FakeTool>("safe", v1::SIDE_EFFECT_READ_ONLY)});
};

TEST_F(CompactionTest, OldResultsBecomeALineAndTheNewestStay) {
  Journal journal(Limits());
  for (int step = 1; step <= 8; ++step) Step(journal, 2'000);
  AwaitDecision(journal);
  const auto compactions = Compactions(journal);
  ASSERT_FALSE(compactions.empty());
  EXPECT_EQ(compactions[0].strategy(), v1::COMPACTION_STRATEGY_CLEAR_RESULTS);
  EXPECT_FALSE(compactions[0].has_usage());
  const ModelRequest request = Request(journal);
  ExpectPaired(request.messages);
  EXPECT_EQ(request.messages.size(), 1 + 2 * 8);
  EXPECT_EQ(ResultAt(request.messages, 1), "[cleared to save room: a result of 2000 bytes, which you have read; call the tool again if you need it]");
  EXPECT_EQ(ResultAt(request.messages, 8), std::string(2'000, 'x'));
  EXPECT_LE(EstimatePromptTokens(journal.state, *plan) + OutputTokensMax(*plan), 4'000);
}

TEST_F(CompactionTest, WhatIsKeptApartIsStillNamed) {
  Journal journal(Limits());
  AwaitDecision(journal);
  Say(journal, Calls({{"safe", "{}"}}));
  journal.Settle(*plan);
  ToolDone large;
  large.parts.emplace_back().set_text(std::string(1'500, 'x'));
  v1::Artifact& artifact = *large.parts.emplace_back().mutable_artifact();
  artifact.set_name(FormatArtifactName(journal.state.id, 1));
  artifact.set_media_type("text/plain");
  artifact.set_bytes(100'000);
  artifact.set_excerpt(std::string(500, 'y'));
  journal.Add(FactOfOutcome(journal.state.last_step()->calls[0], *plan->tools.at("safe").spec, CallEnd{std::move(large), false, absl::Milliseconds(1)},
                            journal.now, 0.5));
  for (int step = 2; step <= 8; ++step) Step(journal, 2'000);
  AwaitDecision(journal);
  const ModelRequest request = Request(journal);
  const v1::CallFinished& read = *std::get<ToolMessage>(request.messages[2]).finished;
  ASSERT_EQ(read.result_size(), 2);
  EXPECT_EQ(read.result(0).text(), "[cleared to save room: a result of 2000 bytes, which you have read; call the tool again if you need it]");
  EXPECT_EQ(PartText(read.result(1), "read_artifact"),
            absl::StrCat("[not shown: 100000 bytes of ", artifact.name(), ", text/plain; read it: read_artifact {\"artifact\":\"", artifact.name(),
                         "\",\"offset\":0}]"));
  EXPECT_EQ(PartText(read.result(1), ""), absl::StrCat("[not shown: 100000 bytes of ", artifact.name(), ", text/plain; you have no tool that reads it]"));
  EXPECT_EQ(journal.state.history_bytes, CountContext(journal.state.history, journal.state.shortening).bytes);
}

TEST_F(CompactionTest, WhatFitsIsLeftAlone) {
  Journal journal(Limits());
  for (int step = 1; step <= 5; ++step) Step(journal, 1'000);
  AwaitDecision(journal);
  EXPECT_TRUE(Compactions(journal).empty());
}

TEST_F(CompactionTest, ALongRunGoesOnWithinItsWindow) {
  for (const v1::CompactionStrategy strategy : {v1::COMPACTION_STRATEGY_CLEAR_RESULTS, v1::COMPACTION_STRATEGY_SUMMARIZE}) {
    Want(strategy);
    Journal journal(Limits());
    const int steps = strategy == v1::COMPACTION_STRATEGY_SUMMARIZE ? 200 : 60;
    for (int step = 1; step <= steps; ++step) {
      Step(journal, 1'500);
      ASSERT_FALSE(journal.state.is_stopped()) << step;
      ASSERT_LE(EstimatePromptTokens(journal.state, *plan), 4'000 + 1'500);
    }
    AwaitDecision(journal);
    EXPECT_LE(EstimatePromptTokens(journal.state, *plan) + OutputTokensMax(*plan), 4'000);
    ExpectPaired(Request(journal).messages);
    EXPECT_LE(Compactions(journal).size(), static_cast<size_t>(steps));
  }
}

TEST_F(CompactionTest, TheEstimateIsThatOfWhatIsRead) {
  for (const v1::CompactionStrategy strategy : {v1::COMPACTION_STRATEGY_CLEAR_RESULTS, v1::COMPACTION_STRATEGY_SUMMARIZE}) {
    Want(strategy);
    Journal journal(Limits());
    for (int step = 1; step <= 12; ++step) Step(journal, 1'700);
    AwaitDecision(journal);
    ASSERT_FALSE(Compactions(journal).empty());
    const ContextSize size = CountContext(journal.state.history, journal.state.shortening);
    EXPECT_EQ(journal.state.history_bytes, size.bytes) << "counted as it grew, and from scratch";
    EXPECT_EQ(journal.state.history_messages, size.messages);
    EXPECT_EQ(size.messages, static_cast<int64_t>(Request(journal).messages.size()));
  }
}

TEST_F(CompactionTest, ASummaryReplacesOldStepsAndKeepsWhatPeopleSaid) {
  Want(v1::COMPACTION_STRATEGY_SUMMARIZE);
  Journal journal(Limits());
  for (int step = 1; step <= 4; ++step) Step(journal, 2'000);
  v1::Event input;
  input.mutable_input_received()->add_input()->set_text("be brief");
  journal.Add(std::move(input));
  for (int step = 5; step <= 8; ++step) Step(journal, 2'000);
  AwaitDecision(journal);
  const auto compactions = Compactions(journal);
  ASSERT_FALSE(compactions.empty());
  EXPECT_EQ(compactions[0].strategy(), v1::COMPACTION_STRATEGY_SUMMARIZE);
  EXPECT_EQ(compactions[0].summary(), "what was found out");
  EXPECT_EQ(compactions[0].usage().input_tokens(), 10);
  const ModelRequest request = Request(journal);
  ExpectPaired(request.messages);
  std::string said;
  for (const ModelMessage& message : request.messages) {
    if (const auto* const user = std::get_if<UserMessage>(&message)) absl::StrAppend(&said, (*user->parts)[0].text(), "|");
  }
  EXPECT_EQ(said, absl::StrCat("the question|be brief|", kSummaryHead, "what was found out|"));
  EXPECT_EQ(ResultAt(request.messages, 1), "");
  EXPECT_EQ(ResultAt(request.messages, 8), std::string(2'000, 'x'));
}

TEST_F(CompactionTest, ASummaryIsReservedBookedAndMadeOfTheOldStepsOnly) {
  Want(v1::COMPACTION_STRATEGY_SUMMARIZE);
  Journal journal(Limits());
  while (journal.state.model.purpose != v1::MODEL_PURPOSE_SUMMARIZE) {
    Step(journal, 2'000);
    journal.Settle(*plan);
  }
  ASSERT_TRUE(journal.state.model.open);
  const v1::ModelCalled& called = journal.events.back()->model_called();
  EXPECT_EQ(called.purpose(), v1::MODEL_PURPOSE_SUMMARIZE);
  EXPECT_GT(called.reserved_tokens(), EstimateSummaryTokens(journal.state, *plan));
  EXPECT_LE(called.reserved_tokens(), 4'000);
  const ModelRequest request = Request(journal);
  EXPECT_TRUE(request.tools.empty());
  EXPECT_EQ(request.notice, SummaryNotice());
  ExpectPaired(request.messages);
  EXPECT_EQ(ResultAt(request.messages, journal.state.usage.steps()), "") << "the newest steps stay, so they are not summarized";
  EXPECT_EQ(ResultAt(request.messages, 1), std::string(2'000, 'x'));
  const int32_t steps = journal.state.usage.steps();
  const int64_t booked = BookedTokens(journal.state);
  ++journal.epoch;  // the server dies: the reservation is booked, and it is asked again
  journal.Settle(*plan);
  EXPECT_EQ(BookedTokens(journal.state), booked + called.reserved_tokens());
  EXPECT_EQ(journal.state.model.purpose, v1::MODEL_PURPOSE_SUMMARIZE);
  EXPECT_EQ(journal.state.model.attempts, 2);
  Say(journal, Answer("short"));
  EXPECT_EQ(BookedTokens(journal.state), booked + called.reserved_tokens() + 15);
  EXPECT_EQ(journal.state.usage.steps(), steps) << "a summary is no step";
  journal.Settle(*plan);
  EXPECT_EQ(journal.state.model.attempts, 3) << "an attempt has a number of its own";
}

TEST_F(CompactionTest, ASummaryThatFailsIsTriedAgainAndThenStopsTheRun) {
  Want(v1::COMPACTION_STRATEGY_SUMMARIZE);
  Journal journal(Limits());
  while (journal.state.model.purpose != v1::MODEL_PURPOSE_SUMMARIZE) {
    Step(journal, 2'000);
    journal.Settle(*plan);
  }
  for (int attempt = 1; attempt <= model->info().attempts_max; ++attempt) {
    ASSERT_TRUE(journal.state.model.open) << attempt;
    Say(journal, attempt == 1 ? Calls({{"safe", "{}"}}) : ModelError("MODEL_UNAVAILABLE", true));  // the first has no text
    journal.now += absl::Minutes(10);
    journal.Settle(*plan);
  }
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().error().reason(), "MODEL_UNAVAILABLE");
  EXPECT_TRUE(journal.state.stopped->run_stopped().stop().resumable());
}

TEST_F(CompactionTest, AModelThatRefusesTheContextGetsOneShorterOne) {
  model->mutable_info().context_tokens = 1'000'000;  // so it says
  Journal journal(Limits());
  for (int step = 1; step <= 8; ++step) Step(journal, 2'000);
  AwaitDecision(journal);
  Say(journal, ModelError("CONTEXT_TOO_LARGE", false));
  journal.Settle(*plan);
  EXPECT_EQ(Compactions(journal).size(), 1);
  ASSERT_TRUE(journal.state.model.open) << "another attempt";
  EXPECT_EQ(journal.state.model.attempts, 2);
  Say(journal, ModelError("CONTEXT_TOO_LARGE", false));
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().error().reason(), "CONTEXT_TOO_LARGE");
  EXPECT_EQ(Compactions(journal).size(), 1) << "one, not one after the other";
}

// What the refused attempt cost may be what meets a limit: a grace step in the same context would be refused as well.
TEST_F(CompactionTest, ARefusedContextGetsNoGraceStep) {
  auto agent = std::make_shared<v1::Agent>(*plan->agent);
  agent->set_grace_step(true);
  plan->agent = agent;
  Journal journal(Limits(100'000));
  for (int step = 1; step <= 6; ++step) Step(journal, 500);
  AwaitDecision(journal);
  ModelOutcome refused = ModelError("CONTEXT_TOO_LARGE", false);
  refused.usage->set_input_tokens(100'000 - BookedTokens(journal.state) - EstimatePromptTokens(journal.state, *plan) - 400);
  Say(journal, std::move(refused));
  const size_t events = journal.events.size();
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_TOKEN_BUDGET);
  EXPECT_EQ(journal.events.size(), events + 1) << "the model is not asked again";
}

TEST_F(CompactionTest, ASummaryThatIsRefusedItselfBecomesClearedResults) {
  Want(v1::COMPACTION_STRATEGY_SUMMARIZE);
  model->mutable_info().context_tokens = 1'000'000;
  Journal journal(Limits());
  for (int step = 1; step <= 8; ++step) Step(journal, 2'000);
  AwaitDecision(journal);
  Say(journal, ModelError("CONTEXT_TOO_LARGE", false));
  journal.Settle(*plan);
  ASSERT_EQ(journal.state.model.purpose, v1::MODEL_PURPOSE_SUMMARIZE);
  Say(journal, ModelError("CONTEXT_TOO_LARGE", false));
  journal.Settle(*plan);
  ASSERT_FALSE(journal.state.is_stopped());
  ASSERT_EQ(Compactions(journal).size(), 1);
  EXPECT_EQ(Compactions(journal)[0].strategy(), v1::COMPACTION_STRATEGY_CLEAR_RESULTS);
}

TEST_F(CompactionTest, WhatCannotBeMadeShorterStopsAsBefore) {
  Journal journal(Limits());
  Step(journal, 30'000);
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().error().reason(), "CONTEXT_TOO_LARGE");
  EXPECT_TRUE(Compactions(journal).empty()) << "the last step is not old: nobody has read it";
}

// Earlier runs of the conversation: not summarized, not cleared, counted.
TEST_F(CompactionTest, EarlierRunsAreKeptWhole) {
  Want(v1::COMPACTION_STRATEGY_SUMMARIZE);
  const int64_t without = EstimatePromptTokens(Journal(Limits()).state, *plan);
  AddEarlier(4'000);
  Journal journal(Limits());
  EXPECT_EQ(EstimatePromptTokens(journal.state, *plan), without + 1'008) << "four bytes a token, and what two messages cost";
  for (int step = 1; step <= 6; ++step) {
    for (journal.Settle(*plan); journal.state.model.purpose == v1::MODEL_PURPOSE_SUMMARIZE && journal.state.model.open; journal.Settle(*plan)) {
      const ModelRequest request = Request(journal);
      EXPECT_TRUE(std::none_of(request.messages.begin(), request.messages.end(), IsEarlier)) << "a summary is not made of them";
      Say(journal, Answer("what was found out"));
    }
    Step(journal, 2'000);
  }
  AwaitDecision(journal);
  ASSERT_FALSE(Compactions(journal).empty());
  const ModelRequest request = Request(journal);
  ASSERT_EQ(request.earlier, 2u);
  EXPECT_TRUE(IsEarlier(request.messages[0]) && IsEarlier(request.messages[1]));
  EXPECT_LE(EstimatePromptTokens(journal.state, *plan) + OutputTokensMax(*plan), 4'000);
}

TEST_F(CompactionTest, EarlierRunsThatFillTheWindowStopTheRunBeforeAnythingIsPaid) {
  Want(v1::COMPACTION_STRATEGY_SUMMARIZE);
  AddEarlier(16'000);
  Journal journal(Limits());
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  const v1::Stop& stop = journal.state.stopped->run_stopped().stop();
  EXPECT_EQ(stop.error().reason(), "CONTEXT_TOO_LARGE");
  EXPECT_THAT(stop.detail(), ::testing::HasSubstr("earlier runs, which are kept whole, and what is always there take 40"));
  EXPECT_EQ(BookedTokens(journal.state), 0);
}

// The same amid a run, after the model was given a smaller window: nothing that could be made shorter helps.
TEST_F(CompactionTest, NoSummaryIsMadeWhereItCannotHelp) {
  Want(v1::COMPACTION_STRATEGY_SUMMARIZE);
  AddEarlier(8'000);
  Journal journal(Limits());
  for (int step = 1; step <= 4; ++step) Step(journal, 1'000);
  ASSERT_TRUE(Compactions(journal).empty());
  model->mutable_info().context_tokens = 2'000;
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().error().reason(), "CONTEXT_TOO_LARGE");
  EXPECT_TRUE(Compactions(journal).empty());
}

TEST_F(CompactionTest, AnAgentThatWantsNoneGetsNone) {
  Want(v1::COMPACTION_STRATEGY_NONE);
  Journal journal(Limits());
  for (int step = 1; !journal.state.is_stopped() && step < 20; ++step) {
    Step(journal, 2'000);
    journal.Settle(*plan);
  }
  ASSERT_TRUE(journal.state.is_stopped());
  EXPECT_EQ(journal.state.stopped->run_stopped().stop().error().reason(), "CONTEXT_TOO_LARGE");
  EXPECT_TRUE(Compactions(journal).empty());
}

TEST_F(CompactionTest, ABudgetWithoutRoomForASummaryClearsInstead) {
  Want(v1::COMPACTION_STRATEGY_SUMMARIZE);
  model->mutable_info().context_tokens = 1'000'000;
  Journal journal(Limits());
  for (const size_t bytes : {2'000, 2'000, 2'000, 2'000, 1, 1}) Step(journal, bytes);
  const int64_t prompt = EstimatePromptTokens(journal.state, *plan);
  model->mutable_info().context_tokens = static_cast<int32_t>(prompt + OutputTokensMax(*plan) - 1);
  journal.state.limits.set_max_tokens(BookedTokens(journal.state) + prompt + 1);
  journal.Settle(*plan);
  ASSERT_EQ(Compactions(journal).size(), 1);
  EXPECT_EQ(Compactions(journal)[0].strategy(), v1::COMPACTION_STRATEGY_CLEAR_RESULTS);
  ASSERT_TRUE(journal.state.model.open);
  EXPECT_LE(BookedTokens(journal.state) + journal.state.model.reserved_tokens, journal.state.limits.max_tokens());
}

TEST_F(CompactionTest, MessagesAreBuiltAnewOnceForEachCompaction) {
  Journal journal(Limits());
  MessageHistory history;
  const v1::CallFinished* cleared = nullptr;
  int built = 0;
  for (int step = 1; step <= 40; ++step) {
    Step(journal, 1'500);
    AwaitDecision(journal);
    const ModelRequest request = BuildModelRequest(journal.state, *plan, history);
    const auto* const first = std::get_if<ToolMessage>(&request.messages[2]);
    if (first->finished.get() != cleared) ++built;
    cleared = first->finished.get();
  }
  EXPECT_LE(built, 1 + static_cast<int>(Compactions(journal).size()));
}

// Recovering at each cut leads to the same context.
TEST_F(CompactionTest, EveryPrefixRecovers) {
  for (const v1::CompactionStrategy strategy : {v1::COMPACTION_STRATEGY_CLEAR_RESULTS, v1::COMPACTION_STRATEGY_SUMMARIZE}) {
    Want(strategy);
    Journal whole(Limits());
    for (int step = 1; step <= 10; ++step) Step(whole, 1'700);
    AwaitDecision(whole);
    ASSERT_FALSE(Compactions(whole).empty());
    for (size_t cut = 1; cut <= whole.events.size(); ++cut) {
      Journal journal(Limits());
      journal.events.clear();
      journal.state = RunState();
      journal.state.id = whole.state.id;
      for (size_t i = 0; i < cut; ++i) {
        Apply(journal.state, whole.events[i]);
        journal.events.push_back(whole.events[i]);
      }
      journal.epoch = 2;
      for (int guard = 0; journal.state.usage.steps() < 10 && guard < 200; ++guard) {
        journal.Settle(*plan);
        const StepState* const last = journal.state.last_step();
        if (last != nullptr && last->calls[0].phase == CallPhase::kOpen) {
          journal.Add(FactOfOutcome(last->calls[0], *plan->tools.at("safe").spec, CallEnd{Done(std::string(1'700, 'x')), false, absl::Milliseconds(1)},
                                    journal.now, 0.5));
        } else {
          AwaitDecision(journal);
          if (journal.state.model.open) Say(journal, Calls({{"safe", "{}"}}));
        }
      }
      ASSERT_EQ(journal.state.usage.steps(), 10) << "cut after " << cut;
      AwaitDecision(journal);
      ASSERT_FALSE(journal.state.is_stopped());
    }
  }
}

}  // namespace
}  // namespace agentruntime
