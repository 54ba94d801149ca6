// Which store it is, and which opening of it.
#include <gmock/gmock.h>

#include <optional>
#include <string>

#include "tests/conformance/store_calls.h"
#include "tests/conformance/store_suite.h"

namespace agentruntime {
namespace {

using ::testing::MatchesRegex;

using IdentitySuite = StoreSuite;

TEST_P(IdentitySuite, AStoreKeepsItsId) {
  const std::string id = store().id();
  EXPECT_THAT(id, MatchesRegex("[0-9a-f]{32}"));
  EXPECT_EQ(store().Info()->id, id);
  Reopen();
  EXPECT_EQ(store().id(), id);
  EXPECT_EQ(store().Info()->id, id);
}

TEST_P(IdentitySuite, AnotherStoreHasAnotherId) {
  const auto other = GetParam().open();
  EXPECT_NE(other->store().id(), store().id());
}

TEST_P(IdentitySuite, ARestoredStoreHasANewId) {
  const std::string id = store().id();
  ASSERT_EQ(CreateNow(store(), TestRun(TestRunId(1))).kind, CreateOutcome::Kind::kCreated);
  Restore();
  const std::string restored = store().id();
  EXPECT_NE(restored, id);
  EXPECT_EQ(store().Info()->id, restored);
  EXPECT_TRUE(store().GetRun(TestRunId(1)).ok());
  Reopen();
  EXPECT_EQ(store().id(), restored);
}

TEST_P(IdentitySuite, TheLastRestoreIsRemembered) {
  EXPECT_EQ(store().restored_epoch(), 0);
  Reopen();
  EXPECT_EQ(store().restored_epoch(), 0);
  const Epoch before = store().epoch();
  Restore();
  EXPECT_GT(store().epoch(), before);
  EXPECT_EQ(store().restored_epoch(), store().epoch());
  const Epoch first = store().epoch();
  Reopen();
  EXPECT_GT(store().epoch(), first);
  EXPECT_EQ(store().restored_epoch(), first);
  Restore();
  EXPECT_EQ(store().restored_epoch(), store().epoch());
}

TEST_P(IdentitySuite, UnfinishedRunsSayWhoseTheirLastEventIs) {
  const Epoch first = store().epoch();
  for (int i = 1; i <= 2; ++i) {
    ASSERT_EQ(CreateNow(store(), TestRun(TestRunId(i))).kind, CreateOutcome::Kind::kCreated);
    ASSERT_EQ(AppendNow(store(), TestAppend(TestRunId(i), first, 1)), AppendResult::kDurable);
  }
  Restore();
  ASSERT_EQ(AppendNow(store(), TestAppend(TestRunId(2), store().epoch(), 2)), AppendResult::kDurable);
  const auto runs = store().UnfinishedRuns(std::nullopt, 10);
  ASSERT_TRUE(runs.ok()) << runs.status();
  ASSERT_EQ(runs->size(), 2u);
  EXPECT_EQ(runs->at(0).epoch, first);
  EXPECT_EQ(runs->at(1).epoch, store().epoch());
}

INSTANTIATE_TEST_SUITE_P(Stores, IdentitySuite, testing::ValuesIn(StoreKinds()), NameOfKind);

}  // namespace
}  // namespace agentruntime
