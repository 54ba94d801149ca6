// What callers say to a run under way, and the instant by which it stops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/commands.h"
#include "runtime/context.h"
#include "tests/support/latch.h"
#include "tests/unit/runtime/journal_fixture.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::Calls;
using testing::Done;
using testing::Journal;
using testing::JournalTest;
using testing::NeverDecides;
using testing::RuntimeTest;
using testing::TestRuntime;

v1::Event Input(const std::string& text) {
  v1::Event fact;
  fact.mutable_input_received()->add_input()->set_text(text);
  return fact;
}

class InputTest : public JournalTest {};

// Calls and their results stay paired, wherever the input falls.
TEST_F(InputTest, InputBetweenACallAndItsResultIsReadBehindBoth) {
  Journal journal;
  Decide(journal, Calls({{"safe", "{}"}}));
  journal.Settle(*plan);
  journal.Add(Input("more"));
  End(journal, 1, Done("x"));
  journal.Settle(*plan);
  ASSERT_TRUE(journal.state.model.open);
  MessageHistory history;
  const ModelRequest request = BuildModelRequest(journal.state, *plan, history);
  ASSERT_EQ(request.messages.size(), 4u);
  EXPECT_TRUE(std::holds_alternative<AssistantMessage>(request.messages[1]));
  EXPECT_TRUE(std::holds_alternative<ToolMessage>(request.messages[2]));
  EXPECT_EQ((*std::get<UserMessage>(request.messages[3]).parts)[0].text(), "more");
}

TEST_F(InputTest, AnAnswerIsFinalAndAStoppedRunTakesNone) {
  Journal journal;
  EXPECT_TRUE(CheckInput(journal.state, 4).ok());
  Decide(journal, Answer("42"));
  EXPECT_EQ(ReasonOf(CheckInput(journal.state, 4)), v1::ERROR_REASON_RUN_ANSWERED);
  journal.Settle(*plan);
  EXPECT_EQ(ReasonOf(CheckInput(journal.state, 4)), v1::ERROR_REASON_RUN_TAKES_NO_INPUT);
}

TEST_F(InputTest, InputIsBoundedByTheJournal) {
  Journal journal;
  EXPECT_EQ(ReasonOf(CheckInput(journal.state, kJournalBytesMax)), v1::ERROR_REASON_JOURNAL_FULL);
  journal.state.last_sequence = kEventsMax / 2;
  EXPECT_EQ(ReasonOf(CheckInput(journal.state, 4)), v1::ERROR_REASON_JOURNAL_FULL);
}

TEST_F(InputTest, ADeadlineStopsARunThatWorksOrIsQueued) {
  Journal queued;
  queued.state.deadline = queued.now;
  queued.Settle(*plan);
  EXPECT_EQ(queued.state.stopped->run_stopped().stop().limit().limit(), "deadline");
  EXPECT_EQ(queued.events.size(), 2u) << "it never started";
  Journal working;
  working.state.deadline = working.now + absl::Minutes(1);
  working.Settle(*plan);
  ASSERT_TRUE(working.state.model.open);
  EXPECT_EQ(working.WhatNext(*plan).wake, absl::Minutes(1));
  working.now += absl::Minutes(1);
  working.Settle(*plan);
  EXPECT_EQ(working.state.stopped->run_stopped().stop().reason(), v1::STOP_REASON_TIMEOUT);
}

class InputRuntimeTest : public RuntimeTest {};

TEST_F(InputRuntimeTest, TheNextDecisionSeesIt) {
  testing::Latch sent;
  std::string read;
  const auto behaviour = [&](ModelRequest request, DeltaSink&) -> asio::awaitable<ModelOutcome> {
    if (request.step == 1) {
      co_await sent.Opened();
      co_return Calls({{"echo", "{}"}});
    }
    for (const ModelMessage& message : request.messages) {
      if (const auto* user = std::get_if<UserMessage>(&message)) read += (*user->parts)[0].text() + ". ";
    }
    co_return Answer("done");
  };
  TestRuntime runtime(Config(behaviour, {Echo()}));
  const v1::Run run = *runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  const RunId id = *ParseRunName(run.name());
  InputRequest request;
  request.input.emplace_back().set_text("be brief");
  request.request_id = "i-1";
  request.request_hash = "h";
  ASSERT_TRUE(runtime.Await(runtime->SendInput(id, request, Caller())).ok());
  ASSERT_TRUE(runtime.Await(runtime->SendInput(id, request, Caller())).ok()) << "a retry";
  sent.Open();
  EXPECT_EQ(runtime.WaitForStop(run.name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(read, "the question. be brief. ");
  int inputs = 0;
  for (const EventPtr& event : runtime.Events(run.name())) inputs += event->has_input_received() ? 1 : 0;
  EXPECT_EQ(inputs, 1);
  request.request_id = "i-2";
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->SendInput(id, request, Caller())).status()), v1::ERROR_REASON_RUN_TAKES_NO_INPUT);
}

TEST_F(InputRuntimeTest, ADeadlineIsKeptAndShown) {
  TestRuntime runtime(Config([](ModelRequest, DeltaSink&) { return NeverDecides(); }));
  CreateRequest request = runtime.Request();
  const absl::Time deadline = absl::FromUnixMillis(absl::ToUnixMillis(absl::Now()) + 200);
  *request.run.mutable_deadline() = ToProto(deadline);
  const v1::Run stopped = runtime.RunToStop(std::move(request));
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_TIMEOUT);
  EXPECT_EQ(stopped.stop().limit().limit(), "deadline");
  EXPECT_EQ(FromProto(stopped.deadline()), deadline);
  EXPECT_EQ(FromProto(runtime.Await(runtime->GetRun(*ParseRunName(stopped.name()), absl::ZeroDuration()))->deadline()), deadline);
}

}  // namespace
}  // namespace agentruntime
