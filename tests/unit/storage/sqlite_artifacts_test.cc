// What the tables of artifacts hold when something went wrong: damage, a crash between chunks and event, a deleted run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "storage/sqlite/artifacts.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

class SqliteArtifactsTest : public testing::Test {
 protected:
  SqliteArtifactsTest() {
    Open();
    CreateNow(store(), TestRun(run_));
  }
  Store& store() { return *stores_.store; }
  void Open() {
    auto stores = OpenStores({.path = path_});
    if (!stores.ok()) abort();
    stores_ = *std::move(stores);
  }
  // First column of the last row; the store is closed meanwhile.
  int64_t Sql(const std::string& sql, bool open_again = true) {
    stores_ = {};
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    int64_t value = 0;
    const auto row = [](void* out, int, char** values, char**) {
      *static_cast<int64_t*>(out) = std::stoll(values[0]);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), row, &value, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
    if (open_again) Open();
    return value;
  }
  int64_t Chunks() { return Sql("SELECT count(*) FROM artifact_chunks"); }
  void Append(StagedArtifact artifact, const RunProjection& projection) {
    AppendRequest request = TestAppend(run_, store().epoch(), projection.last_sequence - 1, 1, projection);
    request.artifacts = {std::move(artifact)};
    ASSERT_EQ(AppendNow(store(), std::move(request)), AppendResult::kDurable);
  }
  // So many transactions: each takes a piece of what is to be removed along.
  void Commit(int count) {
    for (int i = 0; i < count; ++i) CreateNow(store(), TestRun(TestRunId(100 + next_++)));
  }
  // What a crash leaves that came after so many chunks.
  void LeaveChunks(int number, int chunks) {
    std::string sql = absl::StrCat("INSERT INTO unnamed_artifacts SELECT run, ", number, ", (SELECT epoch FROM server), 0 FROM runs WHERE id = 1;");
    for (int i = 0; i < chunks; ++i) {
      absl::StrAppend(&sql, "INSERT INTO artifact_chunks (run, number, epoch, chunk, data, crc) SELECT run, ", number, ", (SELECT epoch FROM server), ", i,
                      ", zeroblob(", kChunkBytes, "), 0 FROM runs WHERE id = 1;");
    }
    Sql(sql);
  }

  TempDir folder_;
  const std::string path_ = folder_.File("agentd.db");
  const RunId run_ = TestRunId(1);
  Stores stores_;
  int next_ = 0;
};

TEST_F(SqliteArtifactsTest, ADamagedPieceIsDataLossOfThatPieceAlone) {
  const StagedArtifact artifact = TestArtifact(1, 3 * kChunkBytes);
  Append(artifact, TestProjection(2));
  Sql("UPDATE artifact_chunks SET data = CAST(zeroblob(length(data)) AS BLOB) WHERE chunk = 1");
  const absl::Status damaged = store().ReadArtifact(run_, 1, kChunkBytes - 1, 2).status();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss) << damaged;
  EXPECT_EQ(ReasonOf(damaged), v1::ERROR_REASON_RUN_DAMAGED);
  EXPECT_EQ(store().ReadArtifact(run_, 1, 0, 10)->data, artifact.content->substr(0, 10));
  EXPECT_EQ(store().ReadArtifact(run_, 1, 2 * kChunkBytes, 10)->data, artifact.content->substr(2 * kChunkBytes, 10));
  EXPECT_EQ(ReadAll(store(), run_)->size(), 2u);
  EXPECT_EQ(store().Info()->set_aside, 0);
}

TEST_F(SqliteArtifactsTest, AMissingOrCutPieceIsDataLoss) {
  Append(TestArtifact(1, 3 * kChunkBytes), TestProjection(2));
  Append(TestArtifact(2, kChunkBytes), TestProjection(3));
  Sql("DELETE FROM artifact_chunks WHERE number = 1 AND chunk = 2; UPDATE artifact_chunks SET data = substr(data, 1, 10) WHERE number = 2");
  EXPECT_EQ(store().ReadArtifact(run_, 1, 2 * kChunkBytes, 10).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(store().ReadArtifact(run_, 2, 0, 10).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SqliteArtifactsTest, ADamagedHeadIsDataLoss) {
  Append(TestArtifact(1, 100), TestProjection(2));
  Append(TestArtifact(2, 100), TestProjection(3));
  Sql("UPDATE artifacts SET bytes = 90 WHERE number = 1");
  EXPECT_EQ(store().ReadArtifact(run_, 1, 0, 10).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(store().ListArtifacts(run_).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(store().ReadArtifact(run_, 2, 0, 10).ok());
}

TEST_F(SqliteArtifactsTest, WhatACrashLeftBeforeItsEventIsRemovedPieceByPieceAfterTheNextStart) {
  Append(TestArtifact(1, kChunkBytes), TestProjection(2));
  LeaveChunks(2, 40);
  EXPECT_EQ(store().ReadArtifact(run_, 2, 0, 10).status().code(), absl::StatusCode::kNotFound);
  Commit(6);
  EXPECT_EQ(Chunks(), 1);
  EXPECT_EQ(Sql("SELECT count(*) FROM unnamed_artifacts"), 0);
  EXPECT_TRUE(store().ReadArtifact(run_, 1, 0, 10).ok());
}

// A run that goes on before all of that is removed is not bitten by it.
TEST_F(SqliteArtifactsTest, ARunUsesANumberAgainThatACrashLeft) {
  LeaveChunks(1, 64);
  const StagedArtifact artifact = TestArtifact(1, 2 * kChunkBytes);
  Append(artifact, TestProjection(2));
  Commit(8);
  EXPECT_EQ(Chunks(), 2);
  EXPECT_EQ(store().ReadArtifact(run_, 1, kChunkBytes, 1000)->data, artifact.content->substr(kChunkBytes, 1000));
}

TEST_F(SqliteArtifactsTest, OfADeletedRunNothingIsLeft) {
  Append(TestArtifact(1, 40 * kChunkBytes), TestProjection(2));
  Append(TestArtifact(2, kChunkBytes), StoppedProjection(3));
  ASSERT_TRUE(DeleteNow(store(), run_).ok());
  Commit(8);
  EXPECT_EQ(Chunks(), 0);
  EXPECT_EQ(Sql("SELECT count(*) FROM artifacts"), 0);
  EXPECT_EQ(Sql("SELECT count(*) FROM unnamed_artifacts"), 0);
}

// One transaction never removes more than its share, however much there is.
TEST_F(SqliteArtifactsTest, ASweepIsBounded) {
  LeaveChunks(1, 64);
  stores_ = {};
  auto database = Database::Open({.path = path_});
  ASSERT_TRUE(database.ok()) << database.status();
  const int64_t before = (*database)->Query("SELECT count(*) FROM artifact_chunks");
  EXPECT_TRUE(SweepArtifacts(**database, 1'000'000));
  EXPECT_EQ((*database)->Query("SELECT count(*) FROM artifact_chunks"), before - kSweptChunksMax);
}

}  // namespace
}  // namespace agentruntime::sqlite
