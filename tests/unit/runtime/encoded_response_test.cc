#include "runtime/encoded_response.h"

#include <gtest/gtest.h>

#include "tests/support/decoded.h"

namespace agentruntime {
namespace {

using testing::Decoded;

EventPtr DecisionMade(Sequence sequence, size_t bytes) {
  auto event = std::make_shared<v1::Event>();
  event->set_sequence(sequence);
  event->mutable_decision_made()->mutable_decision()->add_content()->set_text(std::string(bytes, 'x'));
  return event;
}

TEST(EncodedResponseTest, IsWhatTheClientReads) {
  v1::Run run;
  run.set_name("runs/1");
  EXPECT_EQ(Decoded(EncodeRun(run))->run().SerializeAsString(), run.SerializeAsString());
  v1::Delta delta;
  delta.set_after_sequence(3);
  EXPECT_EQ(Decoded(EncodeDelta(delta))->delta().SerializeAsString(), delta.SerializeAsString());
  const EventPtr event = DecisionMade(1, 10);
  EXPECT_EQ(Decoded(EncodeEvent(*event))->event().SerializeAsString(), event->SerializeAsString());
}

// Sizes on both sides of those where the length of a length changes.
TEST(EncodedResponseTest, EventsOfOneAppendShareOnePieceOfMemory) {
  std::vector<EventPtr> events;
  for (const size_t bytes : {0, 1, 100, 127, 128, 16'383, 16'384, 1'000'000}) events.push_back(DecisionMade(static_cast<Sequence>(events.size()) + 1, bytes));
  std::vector<EncodedResponse> encoded = EncodeEvents(events);
  ASSERT_EQ(encoded.size(), events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(Decoded(encoded[i])->event().SerializeAsString(), events[i]->SerializeAsString()) << i;
    if (i > 0) EXPECT_EQ(encoded[i].bytes().data(), encoded[i - 1].bytes().data() + encoded[i - 1].size()) << i;
  }
  const EncodedResponse last = encoded.back();
  encoded.clear();
  EXPECT_EQ(Decoded(last)->event().SerializeAsString(), events.back()->SerializeAsString()) << "it holds what it lies in";
}

TEST(EncodedResponseTest, NoneIsNotAnEmptyOne) {
  EXPECT_FALSE(EncodedResponse());
  EXPECT_TRUE(EncodeRun(v1::Run()));
  EXPECT_TRUE(EncodeEvents({}).empty());
}

}  // namespace
}  // namespace agentruntime
