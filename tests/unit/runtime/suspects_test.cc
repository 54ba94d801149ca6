#include "runtime/suspects.h"

#include <gtest/gtest.h>

#include "proto/util/limits.h"

namespace agentruntime {
namespace {

RunId Id(uint64_t number) { return RunId::New(absl::FromUnixSeconds(1'800'000'000), 1, number); }

TEST(SuspectsTest, OneAtATimeInTheirOrder) {
  Suspects suspects;
  suspects.Push({Id(1), absl::Seconds(2)});
  suspects.Push({Id(2), absl::Seconds(4)});
  suspects.Push({Id(1), absl::Seconds(8)});
  EXPECT_EQ(suspects.size(), 2u) << "one that is in line keeps its place";
  ASSERT_TRUE(suspects.Begin());
  EXPECT_TRUE(suspects.HasTurn(Id(1)));
  EXPECT_EQ(suspects.current()->probation, absl::Seconds(2));
  EXPECT_FALSE(suspects.IsInLine(Id(1)));
  EXPECT_FALSE(suspects.Begin()) << "one has its turn";
  EXPECT_FALSE(suspects.End(Id(2))) << "not its own";
  EXPECT_TRUE(suspects.End(Id(1)));
  ASSERT_TRUE(suspects.Begin());
  EXPECT_TRUE(suspects.HasTurn(Id(2)));
  EXPECT_TRUE(suspects.End(Id(2)));
  EXPECT_FALSE(suspects.Begin());
}

TEST(SuspectsTest, EachStartDoublesTheTimeUpToABound) {
  EXPECT_FALSE(SuspectOf(Id(1), kBarrenStartsSuspect - 1));
  EXPECT_EQ(SuspectOf(Id(1), kBarrenStartsSuspect)->probation, kSuspectProbation);
  EXPECT_EQ(SuspectOf(Id(1), kBarrenStartsSuspect + 1)->probation, 2 * kSuspectProbation);
  EXPECT_EQ(SuspectOf(Id(1), kBarrenStartsMax)->probation, kSuspectProbationMax);
}

}  // namespace
}  // namespace agentruntime
