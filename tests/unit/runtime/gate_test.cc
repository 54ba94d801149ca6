// The output gate, and the one promise behind it: nothing leaves before everything it rests on is durable.
#include "runtime/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/base/log.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Everything that left, in its order.
class Outside final : public Publisher {
 public:
  void Publish(const RunId&, std::vector<EventPtr> events, std::shared_ptr<const v1::Run> settled) override {
    for (const EventPtr& event : events) left.push_back(absl::StrCat("event ", event->sequence()));
    if (settled != nullptr) left.push_back(absl::StrCat("run as of ", settled->last_sequence()));
  }
  void PublishDelta(const RunId&, v1::Delta delta) override { left.push_back(absl::StrCat("delta ", delta.text())); }
  void Keep(const RunId&, std::shared_ptr<const v1::Run> settled) override {
    kept = settled->last_sequence();
    ++keeps;
  }
  void Withdraw(const RunId&) override { kept.reset(); }
  void SetAside(const RunId&, const absl::Status&) override {}
  void TakeBack(const RunId&) override {}

  std::vector<std::string> left;
  std::optional<Sequence> kept;
  int keeps = 0;
};

class GateTest : public ::testing::Test {
 protected:
  // Records the next event; the ticket is what the store completes.
  AppendDone Add(bool stops = false) {
    v1::Event event;
    if (stops) event.mutable_run_stopped();
    return Add(std::move(event), stops);
  }
  // `settles`: with it the run has stopped or waits.
  AppendDone Add(v1::Event event, bool settles) {
    event.set_sequence(++last_);
    std::shared_ptr<v1::Run> settled;
    if (settles) {
      settled = std::make_shared<v1::Run>();
      settled->set_last_sequence(last_);
    }
    return gate_->Add({std::make_shared<const v1::Event>(std::move(event))}, std::move(settled));
  }
  void Reply(Sequence sequence, const std::string& name) {
    gate_->WhenDurable(sequence, [this, name](bool durable) { outside_->left.push_back(absl::StrCat(name, durable ? "" : " lost")); });
  }
  void Attempt(Sequence sequence, const std::string& name) { asio::co_spawn(context_, Call(gate_, outside_, sequence, name), asio::detached); }
  static asio::awaitable<void> Call(std::shared_ptr<Gate> gate, std::shared_ptr<Outside> outside, Sequence sequence, std::string name) {
    if (co_await gate->Durable(sequence)) outside->left.push_back(name);
  }
  void Say(const std::string& text, Sequence after) {
    v1::Delta delta;
    delta.set_after_sequence(after);
    delta.set_text(text);
    gate_->AddDelta(std::move(delta));
  }
  void Run() {
    context_.restart();
    context_.poll();  // attempts that wait are work that would keep run() for ever
  }

  asio::io_context context_;
  std::shared_ptr<Outside> outside_ = std::make_shared<Outside>();
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>(RunId(), 0, /*settled=*/false, Strand::On(context_.get_executor()), outside_);
  Sequence last_ = 0;
};

// What a person was asked before this session began is all that is left to wait for: no event of its own says so.
TEST_F(GateTest, TheEndOfTheOtherCallsSettlesARunThatWaits) {
  v1::Event event;
  event.mutable_call_finished();
  AppendDone first = Add(event, /*settles=*/false);
  AppendDone second = Add(event, /*settles=*/true);
  first(AppendResult::kDurable);
  Run();
  EXPECT_FALSE(gate_->settled());
  second(AppendResult::kDurable);
  EXPECT_FALSE(gate_->settled());
  Run();
  EXPECT_TRUE(gate_->settled());
}

TEST_F(GateTest, NothingLeavesBeforeItIsDurable) {
  AppendDone first = Add();
  AppendDone second = Add(/*stops=*/true);
  Reply(1, "reply to 1");
  Reply(2, "reply to 2");
  Attempt(1, "call after 1");
  Attempt(2, "call after 2");
  Say("after 1", 1);
  Run();
  EXPECT_THAT(outside_->left, IsEmpty());
  EXPECT_EQ(gate_->durable(), 0);
  first(AppendResult::kDurable);
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("event 1", "delta after 1", "reply to 1", "call after 1"));
  second(AppendResult::kDurable);
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("event 1", "delta after 1", "reply to 1", "call after 1", "event 2", "run as of 2", "reply to 2", "call after 2"));
}

TEST_F(GateTest, TheCreationIsWaitedForAndNotPublished) {
  CreateDone made = gate_->AddCreation(++last_);
  AppendDone first = Add(/*stops=*/true);
  Reply(1, "reply to its creation");
  Attempt(2, "call after 2");
  EXPECT_EQ(gate_->durable(), 0);
  Run();
  EXPECT_THAT(outside_->left, IsEmpty());
  made({CreateOutcome::Kind::kCreated, RunId()});
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("reply to its creation"));
  EXPECT_EQ(gate_->durable(), 1);
  first(AppendResult::kDurable);
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("reply to its creation", "event 2", "run as of 2", "call after 2"));
  EXPECT_EQ(gate_->durable(), 2);
}

TEST_F(GateTest, NothingLeavesOfARunWhoseCreationIsRefused) {
  CreateDone made = gate_->AddCreation(++last_);
  AppendDone first = Add();
  Reply(2, "reply");
  Attempt(2, "call");
  Say("text", 1);
  made({CreateOutcome::Kind::kExists, RunId()});
  Run();
  EXPECT_TRUE(gate_->lost());
  first(AppendResult::kLost);
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("reply lost"));
}

TEST_F(GateTest, WhatHasSettledIsKeptUntilMoreIsHandedOn) {
  AppendDone first = Add(/*stops=*/true);
  EXPECT_EQ(outside_->kept, std::nullopt);
  first(AppendResult::kDurable);
  EXPECT_EQ(outside_->kept, 1) << "with the commit, not with the turn of the strand behind it";
  AppendDone second = Add();
  EXPECT_EQ(outside_->kept, std::nullopt) << "before the store has it";
  AppendDone third = Add(/*stops=*/true);
  AppendDone fourth = Add();
  second(AppendResult::kDurable);
  third(AppendResult::kDurable);
  EXPECT_EQ(outside_->kept, std::nullopt) << "more is on its way";
  EXPECT_EQ(outside_->keeps, 1) << "not for a moment: the fourth may be in the same commit";
  fourth(AppendResult::kDurable);
  AppendDone fifth = Add(/*stops=*/true);
  fifth(AppendResult::kLost);
  EXPECT_EQ(outside_->kept, std::nullopt);
}

TEST_F(GateTest, WhatWasKeptOfASessionBeforeIsWithdrawn) {
  auto again = std::make_shared<Gate>(RunId(), 7, /*settled=*/true, Strand::On(context_.get_executor()), outside_);
  outside_->kept = 7;
  v1::Event event;
  event.set_sequence(8);
  again->Add({std::make_shared<const v1::Event>(event)}, nullptr);
  EXPECT_EQ(outside_->kept, std::nullopt);
}

TEST_F(GateTest, ALineOfTheLogWaitsAndIsNotSaidOfARunThatIsLost) {
  SetLogSink([this](absl::string_view line) { outside_->left.push_back(absl::StrContains(line, "reason=why") ? "line" : std::string(line)); });
  AppendDone first = Add();
  AppendDone second = Add();
  gate_->Warn(1, "something is wrong", "why");
  gate_->Warn(2, "something else is wrong", "why");
  Run();
  EXPECT_THAT(outside_->left, IsEmpty());
  first(AppendResult::kDurable);
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("event 1", "line"));
  second(AppendResult::kLost);
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("event 1", "line"));
  SetLogSink({});
}

TEST_F(GateTest, WhatIsDurableAlreadyPassesAtOnce) {
  AppendDone first = Add();
  first(AppendResult::kDurable);
  Run();
  Reply(1, "reply");
  Attempt(1, "call");
  Say("text", 1);
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("event 1", "reply", "delta text", "call"));
}

TEST_F(GateTest, ALostRunLetsNothingOutAnyMore) {
  AppendDone first = Add();
  Reply(1, "reply");
  Attempt(1, "call");
  first(AppendResult::kLost);
  Run();
  EXPECT_TRUE(gate_->lost());
  Attempt(1, "later call");
  Say("text", 1);
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("reply lost"));
}

TEST_F(GateTest, ClosedToAttemptsItStillAnswers) {
  AppendDone first = Add();
  Attempt(1, "call");
  Reply(1, "reply");
  Run();
  gate_->CloseToAttempts();
  first(AppendResult::kDurable);
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("event 1", "reply"));
}

TEST_F(GateTest, TextThatALaterEventMadeVoidIsNotSaid) {
  AppendDone first = Add();
  Say("void", 1);
  auto decided = std::make_shared<v1::Event>();
  decided->set_sequence(2);
  decided->mutable_decision_made();
  AppendDone second = gate_->Add({decided}, nullptr);
  first(AppendResult::kDurable);
  second(AppendResult::kDurable);
  Run();
  EXPECT_THAT(outside_->left, ElementsAre("event 1", "event 2"));
}

TEST_F(GateTest, HeldTextIsBounded) {
  AppendDone first = Add();
  for (int i = 0; i < 10'000; ++i) Say("x", 1);
  first(AppendResult::kDurable);
  Run();
  EXPECT_LT(outside_->left.size(), 100u);
}

}  // namespace
}  // namespace agentruntime
