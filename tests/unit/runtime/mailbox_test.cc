// What a follower that does not read costs.
#include <gtest/gtest.h>

#include "proto/util/limits.h"
#include "runtime/hub.h"

namespace agentruntime {
namespace {

class MailboxTest : public ::testing::Test {
 protected:
  void Put(Mailbox& mailbox, Sequence first, int count) {
    std::vector<PublishedEvent> events;
    for (int i = 0; i < count; ++i) events.push_back({first + i, false, EncodedResponse::CopyOf("x")});
    mailbox.Put(events, nullptr);
  }
};

TEST_F(MailboxTest, EventsAreHandedOverInOrder) {
  Mailbox mailbox(Mailbox::Interest::kEvents);
  Put(mailbox, 1, 3);
  Put(mailbox, 4, 1);
  const Mailbox::Mail mail = mailbox.Take();
  ASSERT_EQ(mail.events.size(), 4u);
  for (Sequence i = 0; i < 4; ++i) EXPECT_EQ(mail.events[static_cast<size_t>(i)].sequence, i + 1);
  EXPECT_TRUE(mailbox.Take().empty());
}

TEST_F(MailboxTest, OneThatIsNotReadHoldsABoundedBufferAndSaysSo) {
  Mailbox mailbox(Mailbox::Interest::kEvents);
  for (int i = 0; i < 1'000; ++i) Put(mailbox, 100 * i + 1, 100);
  const Mailbox::Mail mail = mailbox.Take();
  EXPECT_TRUE(mail.overflowed);
  EXPECT_LE(mail.events.size(), static_cast<size_t>(kWatchBufferEventsMax));
  Put(mailbox, 100'001, 1);
  EXPECT_EQ(mailbox.Take().events.size(), 1u) << "it goes on when it is read again";
}

// Nothing is encoded for it meanwhile.
TEST_F(MailboxTest, OneThatHasOverflowedWantsNothingMoreUntilItIsRead) {
  Mailbox mailbox(Mailbox::Interest::kEventsAndDeltas);
  Put(mailbox, 1, 1);
  EXPECT_FALSE(mailbox.IsBehind(nullptr));
  Put(mailbox, 2, kWatchBufferEventsMax);
  const auto settled = std::make_shared<const v1::Run>();
  EXPECT_TRUE(mailbox.IsBehind(settled));
  const Mailbox::Mail mail = mailbox.Take();
  EXPECT_TRUE(mail.overflowed);
  EXPECT_EQ(mail.settled, settled);
  EXPECT_FALSE(mailbox.IsBehind(nullptr));
}

// Events are of up to a megabyte: a bound on their number alone is none.
TEST_F(MailboxTest, LargeEventsFillItSooner) {
  Mailbox mailbox(Mailbox::Interest::kEvents);
  const auto large = EncodedResponse::CopyOf(std::string(kWatchBufferBytesMax / 2 + 1, 'x'));
  mailbox.Put({{1, false, large}}, nullptr);
  mailbox.Put({{2, false, large}}, nullptr);
  EXPECT_TRUE(mailbox.Take().overflowed);
  mailbox.Put({{3, false, EncodedResponse::CopyOf(std::string(2 * kWatchBufferBytesMax, 'x'))}}, nullptr);
  EXPECT_EQ(mailbox.Take().events.size(), 1u) << "one is always held";
}

// What was appended at once is published at once: results of parallel calls, of 64 KiB each.
TEST_F(MailboxTest, ManyLargeEventsAtOnceAreTooMuchForAnEmptyOne) {
  Mailbox mailbox(Mailbox::Interest::kEvents);
  const auto large = EncodedResponse::CopyOf(std::string(kWatchBufferBytesMax / 2 + 1, 'x'));
  mailbox.Put({{1, false, large}, {2, false, large}}, nullptr);
  EXPECT_TRUE(mailbox.Take().overflowed);
}

TEST_F(MailboxTest, LargeDeltasFillItSooner) {
  Mailbox mailbox(Mailbox::Interest::kEventsAndDeltas);
  const auto large = EncodedResponse::CopyOf(std::string(kWatchBufferBytesMax / 2, 'x'));
  const auto put = [&](int count) {
    for (int i = 0; i < count; ++i) mailbox.PutDelta({.after = 1, .is_text = true, .encoded = large});
  };
  put(5);
  EXPECT_EQ(mailbox.Take().deltas.size(), 2u);
  put(2);
  Put(mailbox, 2, 1);
  put(1);
  EXPECT_EQ(mailbox.Take().deltas.size(), 2u) << "an input ends no attempt: what was said before it holds";
  put(2);
  mailbox.Put({{3, false, EncodedResponse::CopyOf("x"), /*voids_text=*/true}}, nullptr);
  put(1);
  EXPECT_EQ(mailbox.Take().deltas.size(), 1u) << "a decision makes room: what was said before it is void";
}

// It may be of a call that the event has ended.
TEST_F(MailboxTest, AnEventOutdatesWhatToolsSaid) {
  Mailbox mailbox(Mailbox::Interest::kEventsAndDeltas);
  mailbox.PutDelta({.after = 1, .is_text = false, .encoded = EncodedResponse::CopyOf("half")});
  mailbox.PutDelta({.after = 1, .is_text = true, .encoded = EncodedResponse::CopyOf("text")});
  Put(mailbox, 2, 1);
  const Mailbox::Mail mail = mailbox.Take();
  ASSERT_EQ(mail.deltas.size(), 1u);
  EXPECT_TRUE(mail.deltas[0].is_text);
}

TEST_F(MailboxTest, DeltasAreBoundedToo) {
  Mailbox mailbox(Mailbox::Interest::kEventsAndDeltas);
  for (int i = 0; i < 10'000; ++i) mailbox.PutDelta({.after = 1, .is_text = true, .encoded = EncodedResponse::CopyOf("x")});
  EXPECT_LE(mailbox.Take().deltas.size(), static_cast<size_t>(kWatchBufferDeltasMax));
}

}  // namespace
}  // namespace agentruntime
