// Large results made fit for the journal: what is kept apart, how it is named, what a model reads of it.
#include "runtime/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/names.h"
#include "runtime/part_text.h"
#include "runtime/staging_room.h"
#include "tests/support/coroutine.h"
#include "tests/support/journal.h"

namespace agentruntime {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::Journal;
using ::testing::StartsWith;

v1::Part Text(std::string text) {
  v1::Part part;
  part.set_text(std::move(text));
  return part;
}
v1::Part Json(std::string json) {
  v1::Part part;
  part.set_json(std::move(json));
  return part;
}
int64_t InlineBytes(const std::vector<v1::Part>& parts) {
  int64_t bytes = 0;
  for (const v1::Part& part : parts) bytes += static_cast<int64_t>(part.text().size() + part.json().size() + part.artifact().excerpt().size());
  return bytes;
}

TEST(ResultTest, WhatFitsIsLeftAlone) {
  EXPECT_FALSE(IsLarge({Text(std::string(kResultBytesMax, 'x'))}, ResultBounds()));
  EXPECT_TRUE(IsLarge({Text(std::string(kResultBytesMax, 'x')), Text("y")}, ResultBounds()));
  EXPECT_TRUE(IsLarge(std::vector<v1::Part>(2000), ResultBounds()));
}

TEST(ResultTest, OnlyThePartsThatAreTooLargeAreKeptApart) {
  std::vector<v1::Part> parts = {Text("small"), Json(absl::StrCat("[", std::string(100'000, '1'), "]")), Text(std::string(70'000, 'x'))};
  const std::vector<LargePart> large = KeepApart(parts, ResultBounds());
  ASSERT_EQ(large.size(), 2u);
  EXPECT_EQ(large[0].part, 1u);
  EXPECT_EQ(large[0].content->size(), 100'002u);
  EXPECT_EQ(large[0].hash.size(), 32u);
  EXPECT_EQ(large[1].part, 2u);
  EXPECT_EQ(parts[0].text(), "small");
  EXPECT_EQ(parts[1].artifact().media_type(), "application/json");
  EXPECT_EQ(parts[1].artifact().bytes(), 100'002);
  EXPECT_EQ(parts[2].artifact().media_type(), "text/plain");
  EXPECT_EQ(parts[2].artifact().excerpt(), std::string(kArtifactExcerptBytesMax, 'x'));
}

TEST(ResultTest, AnExcerptEndsAtACharacter) {
  std::string text;
  while (text.size() < 100'000) text += "\u00e9\u20ac";  // 2 and 3 bytes
  std::vector<v1::Part> parts = {Text(text)};
  KeepApart(parts, ResultBounds());
  EXPECT_TRUE(IsValidUtf8(parts[0].artifact().excerpt()));
  EXPECT_GT(parts[0].artifact().excerpt().size(), static_cast<size_t>(kArtifactExcerptBytesMax) - 4);
}

TEST(ResultTest, InvalidBytesAreReplaced) {
  std::vector<v1::Part> parts = {Json(std::string(70'000, '\xff'))};
  const auto large = KeepApart(parts, ResultBounds());
  ASSERT_EQ(large.size(), 1u);
  EXPECT_TRUE(IsValidUtf8(*large[0].content));
  EXPECT_EQ(parts[0].artifact().media_type(), "text/plain");
}

// However a result is cut into parts, what stands in the event is within its bound.
TEST(ResultTest, WhatIsLeftIsWithinItsBound) {
  for (const size_t count : {1u, 2u, 15u, 16u, 17u, 1000u, 5000u}) {
    for (const int64_t total : {70'000, 1'000'000}) {
      std::vector<v1::Part> parts(count, Text(std::string(static_cast<size_t>(total) / count, 'x')));
      const auto large = KeepApart(parts, ResultBounds());
      EXPECT_LE(InlineBytes(parts), kResultBytesMax) << count << " " << total;
      EXPECT_LE(parts.size(), 16u);
      EXPECT_GE(large.size(), 1u);
    }
  }
  ResultBounds tiny{.inline_bytes_max = 64, .excerpt_bytes_max = 16};
  std::vector<v1::Part> parts = {Text(std::string(40, 'x')), Text(std::string(40, 'y')), Text("z")};
  EXPECT_EQ(KeepApart(parts, tiny).size(), 1u);
  EXPECT_LE(InlineBytes(parts), 64);
}

TEST(ResultTest, WhatIsAboveTheLargestBoundIsCutAndSaysSo) {
  std::vector<v1::Part> parts = {Text(std::string(static_cast<size_t>(kArtifactBytesMax) + 1, 'x')), Text("dropped")};
  const auto large = KeepApart(parts, ResultBounds());
  ASSERT_EQ(large.size(), 1u);
  EXPECT_LE(static_cast<int64_t>(large[0].content->size()), kArtifactBytesMax);
  EXPECT_THAT(large[0].content->substr(large[0].content->size() - 60), HasSubstr(absl::StrCat("[cut: ", kArtifactBytesMax + 1, " bytes")));
}

// Names follow from the state and what the index knows.
class NameTest : public ::testing::Test {
 protected:
  std::vector<StagedArtifact> Name(std::vector<v1::Part>& parts) { return NameArtifacts(journal_.state, bounds_, index_, parts, KeepApart(parts, bounds_)); }
  std::string NameOf(int32_t number) const { return FormatArtifactName(journal_.state.id, number); }
  // Folds a `call_finished` with these parts.
  void Finish(const std::vector<v1::Part>& parts) {
    v1::Event fact;
    fact.mutable_call_finished()->set_call_id("1.1");
    for (const v1::Part& part : parts) *fact.mutable_call_finished()->add_result() = part;
    journal_.Add(std::move(fact));
  }
  void Decide() {
    v1::Event fact;
    fact.set_step(1);
    fact.mutable_decision_made()->mutable_decision()->add_tool_calls()->set_tool("t");
    journal_.Add(std::move(fact));
  }

  Journal journal_;
  ResultBounds bounds_;
  ArtifactIndex index_;
};

TEST_F(NameTest, NumbersFollowFirstAppearanceAndTheSameContentHasOneName) {
  std::vector<v1::Part> parts = {Text(std::string(70'000, 'x')), Text(std::string(80'000, 'y')), Text(std::string(70'000, 'x'))};
  const auto staged = Name(parts);
  ASSERT_EQ(staged.size(), 2u);
  EXPECT_EQ(staged[0].number, 1);
  EXPECT_EQ(staged[0].content->front(), 'x');
  EXPECT_EQ(staged[1].number, 2);
  EXPECT_EQ(parts[0].artifact().name(), NameOf(1));
  EXPECT_EQ(parts[1].artifact().name(), NameOf(2));
  EXPECT_EQ(parts[2].artifact().name(), NameOf(1));
  Decide();
  Finish(parts);
  EXPECT_EQ(journal_.state.own_artifacts, 2);
  EXPECT_EQ(journal_.state.artifact_bytes, 150'000);
  ASSERT_EQ(journal_.state.artifacts.size(), 2u);
  EXPECT_EQ(journal_.state.artifacts[1].bytes, 80'000);

  std::vector<v1::Part> again = {Text(std::string(80'000, 'y')), Text(std::string(90'000, 'z'))};
  const auto later = Name(again);
  ASSERT_EQ(later.size(), 1u);
  EXPECT_EQ(later[0].number, 3);
  EXPECT_EQ(again[0].artifact().name(), NameOf(2));
}

TEST_F(NameTest, WhatTheRunHasNoRoomForIsCutAndSaysSo) {
  bounds_.run_bytes_max = 100'000;
  std::vector<v1::Part> parts = {Text(std::string(70'000, 'x')), Text(std::string(80'000, 'y'))};
  EXPECT_EQ(Name(parts).size(), 1u);
  EXPECT_EQ(parts[0].artifact().name(), NameOf(1));
  EXPECT_THAT(parts[1].text(), StartsWith("yyy"));
  EXPECT_THAT(parts[1].text(), EndsWith("\n[cut: 80000 bytes; the run keeps 70000 bytes of large results, at most 100000]"));
}

// A fork names what its source kept: that is not its own.
TEST_F(NameTest, ArtifactsOfAnotherRunAreKnownAndNotCounted) {
  const RunId source = RunId::New(journal_.now, 7, 7);
  v1::Part part;
  part.mutable_artifact()->set_name(FormatArtifactName(source, 5));
  part.mutable_artifact()->set_bytes(1'000'000);
  Decide();
  Finish({part, part});
  EXPECT_EQ(journal_.state.own_artifacts, 0);
  EXPECT_EQ(journal_.state.artifact_bytes, 0);
  ASSERT_EQ(journal_.state.artifacts.size(), 1u);
  EXPECT_EQ(journal_.state.artifacts[0].name.run, source);
}

TEST(PartTextTest, AnArtifactIsItsBeginningAndHowToReadOn) {
  v1::Part part;
  part.mutable_artifact()->set_name("runs/r/artifacts/1");
  part.mutable_artifact()->set_bytes(1000);
  part.mutable_artifact()->set_media_type("text/plain");
  part.mutable_artifact()->set_excerpt("begin");
  EXPECT_EQ(PartText(part, "more"),
            "begin\n[the first 5 of 1000 bytes of runs/r/artifacts/1, text/plain; read on: more {\"artifact\":\"runs/r/artifacts/1\",\"offset\":5}]");
  EXPECT_THAT(PartText(part, ""), EndsWith("you have no tool that reads the rest]"));
}

TEST(StagingRoomTest, WhoComesWhenItIsFullWaitsForItsTurn) {
  const auto room = std::make_shared<StagingRoom>(100);
  testing::RunCoroutine<bool>([&]() -> boost::asio::awaitable<bool> {
    StagingRoom::Lease first = co_await room->Take(1'000'000);  // more than all of it is all of it
    std::thread later([&] { first.reset(); });
    const StagingRoom::Lease second = co_await room->Take(60);  // returns once the first is given back
    later.join();
    EXPECT_NE(second, nullptr);
    const StagingRoom::Lease third = co_await room->Take(40);
    EXPECT_NE(third, nullptr);
    std::thread closer([&] { room->Close(); });
    EXPECT_EQ(co_await room->Take(1), nullptr);
    closer.join();
    co_return true;
  });
}

}  // namespace
}  // namespace agentruntime
