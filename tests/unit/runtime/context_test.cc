#include "runtime/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/journal.h"

namespace agentruntime {
namespace {

UserMessage Said(const std::string& text) {
  auto parts = std::make_shared<Parts>();
  parts->Add()->set_text(text);
  return UserMessage{std::move(parts)};
}

// A step with one call, settled.
void AddStep(testing::Journal& journal) {
  const CallId call{journal.state.next_step(), 1};
  v1::Event decided;
  decided.set_step(call.step);
  v1::ToolCall* const asked = decided.mutable_decision_made()->mutable_decision()->add_tool_calls();
  asked->set_call_id(call.ToString());
  asked->set_tool("tool");
  journal.Add(std::move(decided));
  v1::Event finished;
  finished.set_step(call.step);
  finished.mutable_call_finished()->set_call_id(call.ToString());
  finished.mutable_call_finished()->add_result()->set_text(absl::StrCat("result ", call.step));
  journal.Add(std::move(finished));
}

TEST(MessagesTest, AHolderDoesNotSeeWhatAnotherAdds) {
  Messages messages = {Said("one")};
  const Messages before = messages;
  messages.push_back(Said("two"));
  EXPECT_EQ(before.size(), 1);
  EXPECT_EQ(messages.size(), 2);
  EXPECT_EQ(std::get<UserMessage>(messages.back()).parts->at(0).text(), "two");
}

TEST(MessagesTest, ACopySharesMemory) {
  const Messages messages = {Said("one")};
  const Messages copy = messages;
  EXPECT_EQ(&copy.front(), &messages.front());
  EXPECT_TRUE(Messages().empty());
}

TEST(MessageHistoryTest, TellsInputsDecisionsAndResultsInTheirOrder) {
  testing::Journal journal;
  AddStep(journal);
  MessageHistory history;
  const Messages messages = history.Of(journal.state, RunPlan());
  ASSERT_GE(messages.size(), 2);
  ASSERT_NE(messages.size(), 2) << "a call has no result in what the model reads";
  ASSERT_EQ(messages.size(), 3);
  EXPECT_EQ(std::get<UserMessage>(messages[0]).parts->at(0).text(), "the question");
  EXPECT_EQ(std::get<AssistantMessage>(messages[1]).decision->tool_calls(0).tool(), "tool");
  EXPECT_EQ(std::get<ToolMessage>(messages[2]).finished->result(0).text(), "result 1");
}

// A step must not cost more because the run is long: what was told before is neither built nor copied again.
TEST(MessageHistoryTest, AddsOnlyWhatHappenedSince) {
  testing::Journal journal;
  MessageHistory history;
  const ModelMessage* first = nullptr;
  int moved = 0;
  for (int step = 1; step <= 1000; ++step) {
    AddStep(journal);
    const Messages messages = history.Of(journal.state, RunPlan());
    ASSERT_EQ(messages.size(), 1 + 2 * static_cast<size_t>(step));
    if (&messages.front() != first) ++moved;
    first = &messages.front();
  }
  EXPECT_LE(moved, 12);  // as a vector grows
}

TEST(MessageHistoryTest, ARequestThatIsStillHeldStaysAsItWas) {
  testing::Journal journal;
  MessageHistory history;
  const Messages held = history.Of(journal.state, RunPlan());
  AddStep(journal);
  EXPECT_EQ(history.Of(journal.state, RunPlan()).size(), 3);
  EXPECT_EQ(held.size(), 1);
}

}  // namespace
}  // namespace agentruntime
