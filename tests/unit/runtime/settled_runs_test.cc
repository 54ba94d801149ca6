#include "runtime/settled_runs.h"

#include <gtest/gtest.h>

#include <string>

namespace agentruntime {
namespace {

RunId Id(uint64_t number) { return RunId::New(absl::UnixEpoch(), 0, number); }

std::shared_ptr<const v1::Run> RunOf(const std::string& title) {
  auto run = std::make_shared<v1::Run>();
  run->set_title(title);
  return run;
}

TEST(SettledRunsTest, TheLatestIsKeptUntilTheRunGoesOn) {
  SettledRuns runs;
  EXPECT_EQ(runs.Find(Id(1)), nullptr);
  runs.Keep(Id(1), RunOf("waits"));
  runs.Keep(Id(1), RunOf("stopped"));
  ASSERT_NE(runs.Find(Id(1)), nullptr);
  EXPECT_EQ(runs.Find(Id(1))->title(), "stopped");
  runs.Drop(Id(1));
  EXPECT_EQ(runs.Find(Id(1)), nullptr);
}

TEST(SettledRunsTest, NothingIsKeptOfOneThatIsBeingDeleted) {
  SettledRuns runs;
  runs.Keep(Id(1), RunOf("stopped"));
  runs.BeginDelete(Id(1));
  runs.BeginDelete(Id(1));
  EXPECT_EQ(runs.Find(Id(1)), nullptr);
  runs.EndDelete(Id(1));
  runs.Keep(Id(1), RunOf("stopped"));
  EXPECT_EQ(runs.Find(Id(1)), nullptr) << "the other deletion is under way";
  runs.EndDelete(Id(1));
  runs.Keep(Id(1), RunOf("stopped"));
  EXPECT_NE(runs.Find(Id(1)), nullptr) << "it was not deleted";
}

TEST(SettledRunsTest, ALargeOneIsNotKeptNorWhatItReplaces) {
  SettledRuns runs;
  runs.Keep(Id(1), RunOf("small"));
  runs.Keep(Id(1), RunOf(std::string(kSettledRunBytesMax, 'x')));
  EXPECT_EQ(runs.Find(Id(1)), nullptr);
}

TEST(SettledRunsTest, SoManyAreKeptAndNoMore) {
  SettledRuns runs;
  for (uint64_t i = 0; i <= kSettledRunsMax; ++i) runs.Keep(Id(i), RunOf("stopped"));
  EXPECT_EQ(runs.Find(Id(0)), nullptr) << "the oldest goes";
  EXPECT_NE(runs.Find(Id(1)), nullptr);
  EXPECT_NE(runs.Find(Id(kSettledRunsMax)), nullptr);
}

TEST(SettledRunsTest, OneThatSettlesAgainIsAsNewAsItsLast) {
  SettledRuns runs;
  runs.Keep(Id(0), RunOf("waits"));
  for (uint64_t i = 1; i < kSettledRunsMax; ++i) runs.Keep(Id(i), RunOf("stopped"));
  runs.Drop(Id(0));
  runs.Keep(Id(0), RunOf("stopped"));
  EXPECT_NE(runs.Find(Id(0)), nullptr) << "what was dropped of it goes, not what came since";
  for (uint64_t i = 0; i < kSettledRunsMax; ++i) runs.Keep(Id(1), RunOf("again"));
  EXPECT_NE(runs.Find(Id(1)), nullptr);
}

}  // namespace
}  // namespace agentruntime
