// A flipped bit in the log, in the last transaction but one: found out wherever it is, because what was written later is there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "storage/sqlite/log_check.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kHeaderCountOffset = 12;
constexpr size_t kPageBytes = 512;
constexpr size_t kFrameBytes = 24 + kPageBytes;
constexpr size_t kCommitOffset = 4;

class SqliteLogCheckTest : public ::testing::Test {
 protected:
  // Three transactions of several pages each in the log.
  SqliteLogCheckTest() {
    Run({"PRAGMA page_size=512", "PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "CREATE TABLE t (x)", "INSERT INTO t VALUES (randomblob(1500))",
         "INSERT INTO t VALUES (randomblob(1500))"});
  }
  // And leaves the log as it is.
  void Run(const std::vector<const char*>& statements) {
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    for (const char* sql : statements) EXPECT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sql;
    sqlite3_close(database);
    log_ = Content(path_ + "-wal");
  }
  static std::string Content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // The number behind the last frame of each transaction.
  std::vector<size_t> Ends() const {
    std::vector<size_t> ends;
    for (size_t frame = 0; kHeaderBytes + (frame + 1) * kFrameBytes <= log_.size(); ++frame) {
      if (log_.substr(kHeaderBytes + frame * kFrameBytes + kCommitOffset, 4) != std::string(4, '\0')) ends.push_back(frame + 1);
    }
    return ends;
  }
  absl::StatusCode CodeWith(size_t byte, int bit) {
    std::string damaged = log_;
    damaged[byte] = static_cast<char>(static_cast<uint8_t>(damaged[byte]) ^ (1 << bit));
    std::ofstream(path_ + "-wal", std::ios::binary) << damaged;
    return CheckLog(path_).code();
  }

  TempDir folder_;
  const std::string path_ = folder_.File("agentd.db");
  std::string log_;
};

TEST_F(SqliteLogCheckTest, EveryBitOfTheLastTransactionButOneIsFoundOut) {
  const std::vector<size_t> ends = Ends();
  ASSERT_EQ(ends.size(), 3u);
  ASSERT_GE(ends[1] - ends[0], 3u) << "frames";
  EXPECT_TRUE(CheckLog(path_).ok());
  int missed = 0, flipped = 0;
  for (size_t byte = kHeaderBytes + ends[0] * kFrameBytes; byte < kHeaderBytes + ends[1] * kFrameBytes; ++byte) {
    for (int bit = 0; bit < 8; ++bit, ++flipped) missed += CodeWith(byte, bit) == absl::StatusCode::kDataLoss ? 0 : 1;
  }
  EXPECT_EQ(missed, 0) << "of " << flipped;
}

TEST_F(SqliteLogCheckTest, EveryBitOfTheHeaderIsFoundOut) {
  int missed = 0;
  for (size_t byte = 0; byte < kHeaderBytes; ++byte) {
    for (int bit = 0; bit < 8; ++bit) missed += CodeWith(byte, bit) == absl::StatusCode::kDataLoss ? 0 : 1;
  }
  EXPECT_EQ(missed, 0);
}

// The beginning of a log that is begun anew may be torn so that it is the old one but for a bit. Everything in the old one has been copied then.
TEST_F(SqliteLogCheckTest, ALogThatWasCopiedMayBeBegunAnew) {
  Run({"PRAGMA wal_checkpoint(FULL)"});
  EXPECT_EQ(CodeWith(kHeaderCountOffset + 3, 0), absl::StatusCode::kOk);

  const std::string database = Content(path_);
  const size_t pages = database.size() / kPageBytes;
  for (size_t page = 1; page < pages; ++page) {  // the first is no part of the last transactions
    std::string other = database;
    other[page * kPageBytes + kPageBytes - 1] ^= 1;
    std::ofstream(path_, std::ios::binary) << other;
    EXPECT_EQ(CodeWith(kHeaderCountOffset + 3, 0), absl::StatusCode::kDataLoss) << "page " << page + 1;
  }
}

TEST_F(SqliteLogCheckTest, PagesThatWereCutOffNeedNotBeThere) {
  Run({"PRAGMA wal_autocheckpoint=0", "DELETE FROM t", "VACUUM", "PRAGMA wal_checkpoint(FULL)"});
  EXPECT_LT(Content(path_).size(), log_.size() / 2);
  EXPECT_EQ(CodeWith(kHeaderCountOffset + 3, 0), absl::StatusCode::kOk);
}

TEST_F(SqliteLogCheckTest, TheLastTransactionLooksAsIfItWereBeingWritten) {
  const size_t byte = kHeaderBytes + Ends()[1] * kFrameBytes + 100;
  EXPECT_EQ(CodeWith(byte, 7), absl::StatusCode::kOk);
}

}  // namespace
}  // namespace agentruntime::sqlite
