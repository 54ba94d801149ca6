// Artifacts: content that is written before the event that names it, and read back once that is durable.
#include <gmock/gmock.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "tests/conformance/store_calls.h"
#include "tests/conformance/store_suite.h"

namespace agentruntime {
namespace {

class ArtifactSuite : public StoreSuite {
 protected:
  ArtifactSuite() { CreateNow(store(), TestRun(run_)); }

  // One event that brings artifacts.
  AppendRequest Request(Sequence after, std::vector<StagedArtifact> artifacts) {
    AppendRequest request = TestAppend(run_, store().epoch(), after);
    request.artifacts = std::move(artifacts);
    return request;
  }
  // The whole of it, by pieces of `piece` bytes.
  std::string Read(int32_t number, int64_t piece = 1 << 20) {
    std::string content;
    for (;;) {
      const auto read = store().ReadArtifact(run_, number, static_cast<int64_t>(content.size()), piece);
      if (!read.ok()) return std::string(read.status().message());
      if (read->data.empty()) return content;
      content += read->data;
    }
  }
  std::string List() {
    const auto records = store().ListArtifacts(run_);
    if (!records.ok()) return std::string(records.status().message());
    std::string text;
    for (const ArtifactRecord& record : *records) absl::StrAppend(&text, record.number, " ", record.media_type, " ", record.hash, " ", record.bytes, "\n");
    return text;
  }

  const RunId run_ = TestRunId(1);
};

TEST_P(ArtifactSuite, AnArtifactIsReadBackWholeAndByPieces) {
  const StagedArtifact large = TestArtifact(1, 1'000'003);
  ASSERT_EQ(AppendNow(store(), Request(1, {large})), AppendResult::kDurable);
  EXPECT_TRUE(Read(1) == *large.content);
  EXPECT_TRUE(Read(1, 77'777) == *large.content);
  const auto piece = store().ReadArtifact(run_, 1, 262'140, 8);
  ASSERT_TRUE(piece.ok()) << piece.status();
  EXPECT_EQ(piece->data, large.content->substr(262'140, 8));
  EXPECT_EQ(piece->total_bytes, 1'000'003);
  Reopen();
  EXPECT_TRUE(Read(1) == *large.content);
}

TEST_P(ArtifactSuite, AllOfTheLargestIsKept) {
  const StagedArtifact largest = TestArtifact(1, kArtifactBytesMax);
  ASSERT_EQ(AppendNow(store(), Request(1, {largest})), AppendResult::kDurable);
  EXPECT_TRUE(Read(1) == *largest.content);
}

TEST_P(ArtifactSuite, SeveralOfOneAppendAndOfLaterOnesAreListedByNumber) {
  ASSERT_EQ(AppendNow(store(), Request(1, {TestArtifact(1, 300'000, "a"), TestArtifact(2, 1, "b")})), AppendResult::kDurable);
  ASSERT_EQ(AppendNow(store(), Request(2, {TestArtifact(3, 70'000, "c", "application/json")})), AppendResult::kDurable);
  EXPECT_EQ(List(), "1 text/plain a 300000\n2 text/plain b 1\n3 application/json c 70000\n");
  EXPECT_EQ(Read(2), *TestArtifact(2, 1, "b").content);
  EXPECT_TRUE(Read(3) == *TestArtifact(3, 70'000, "c").content);
}

TEST_P(ArtifactSuite, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(ReasonOf(store().ReadArtifact(run_, 1, 0, 10).status()), v1::ERROR_REASON_ARTIFACT_NOT_FOUND);
  EXPECT_EQ(ReasonOf(store().ReadArtifact(TestRunId(2), 1, 0, 10).status()), v1::ERROR_REASON_RUN_NOT_FOUND);
  EXPECT_EQ(ReasonOf(store().ListArtifacts(TestRunId(2)).status()), v1::ERROR_REASON_RUN_NOT_FOUND);
  EXPECT_EQ(List(), "");
}

TEST_P(ArtifactSuite, AnOffsetBeyondTheEndIsOutOfRange) {
  AppendNow(store(), Request(1, {TestArtifact(1, 100)}));
  EXPECT_EQ(store().ReadArtifact(run_, 1, 100, 10)->data, "");
  EXPECT_EQ(store().ReadArtifact(run_, 1, 101, 10).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(store().ReadArtifact(run_, 1, -1, 10).status().code(), absl::StatusCode::kOutOfRange);
}

// The gate: nobody reads what no durable event names.
TEST_P(ArtifactSuite, WhatALostAppendBroughtIsNotThere) {
  AppendRequest lost = Request(7, {TestArtifact(1, 600'000)});
  EXPECT_EQ(AppendNow(store(), std::move(lost)), AppendResult::kLost);
  EXPECT_EQ(ReasonOf(store().ReadArtifact(run_, 1, 0, 10).status()), v1::ERROR_REASON_ARTIFACT_NOT_FOUND);
  EXPECT_EQ(List(), "");
  // Whoever goes on uses the number.
  const StagedArtifact other = TestArtifact(1, 300'000, "other");
  ASSERT_EQ(AppendNow(store(), Request(1, {other})), AppendResult::kDurable);
  EXPECT_TRUE(Read(1) == *other.content);
}

TEST_P(ArtifactSuite, TheNumberOfAnOldEpochsLostAppendIsUsedAgain) {
  AppendRequest lost = Request(1, {TestArtifact(1, 600'000)});
  Reopen();
  EXPECT_EQ(AppendNow(store(), std::move(lost)), AppendResult::kLost);
  const StagedArtifact other = TestArtifact(1, 300'000, "other");
  ASSERT_EQ(AppendNow(store(), Request(1, {other})), AppendResult::kDurable);
  EXPECT_TRUE(Read(1) == *other.content);
}

TEST_P(ArtifactSuite, ADeletedRunTakesItsArtifactsAlong) {
  AppendNow(store(), Request(1, {TestArtifact(1, 600'000)}));
  AppendNow(store(), TestAppend(run_, store().epoch(), 2, 1, StoppedProjection(3)));
  ASSERT_TRUE(DeleteNow(store(), run_).ok());
  EXPECT_EQ(ReasonOf(store().ReadArtifact(run_, 1, 0, 10).status()), v1::ERROR_REASON_RUN_NOT_FOUND);
  Reopen();
  EXPECT_EQ(ReasonOf(store().ReadArtifact(run_, 1, 0, 10).status()), v1::ERROR_REASON_RUN_NOT_FOUND);
}

INSTANTIATE_TEST_SUITE_P(Stores, ArtifactSuite, testing::ValuesIn(StoreKinds()), NameOfKind);

}  // namespace
}  // namespace agentruntime
