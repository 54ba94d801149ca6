// What is refused before anything is served, and what is said about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/id.h"
#include "proto/base/random.h"
#include "proto/util/names.h"
#include "storage/sqlite/schema.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SqliteOpenTest : public testing::Test {
 protected:
  // Makes a database of ours with one run.
  void MakeDatabase() {
    auto stores = OpenStores({.path = path_});
    ASSERT_TRUE(stores.ok()) << stores.status();
    CreateNow(*stores->store, TestRun(TestRunId(1)));
  }
  void Sql(const std::string& sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
  }
  // The same, and leaves what it wrote in the log.
  void SqlInLog(const std::string& sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
    ASSERT_GT(std::filesystem::file_size(path_ + "-wal"), 0u);
  }
  static std::string Read(const std::string& path) {
    std::ostringstream bytes;
    bytes << std::ifstream(path, std::ios::binary).rdbuf();
    return bytes.str();
  }
  // The first sector as the file has it before anything is in it, and as the first frame of the log has it.
  std::string SectorOfNew() {
    Sql("PRAGMA page_size=8192; PRAGMA journal_mode=WAL");
    return Read(path_).substr(0, 512);
  }
  std::string SectorInLog() { return Read(path_ + "-wal").substr(32 + 24, 512); }
  // The first column of a query.
  std::vector<std::string> Rows(const char* sql) {
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open_v2(path_.c_str(), &database, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
    std::vector<std::string> rows;
    const auto collect = [](void* into, int, char** values, char**) {
      static_cast<std::vector<std::string>*>(into)->push_back(values[0] != nullptr ? values[0] : "NULL");
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(database, sql, collect, &rows, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
    return rows;
  }
  void Write(int64_t offset, const std::string& bytes) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset);
    file << bytes;
  }
  absl::Status Open() { return OpenStores({.path = path_}).status(); }

  TempDir folder_;
  const std::string path_ = folder_.File("agentd.db");
};

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST_F(SqliteOpenTest, TheIdComesFromTheRandomnessThatIsGiven) {
  SeededRandom random(7);
  SeededRandom same(7);
  const uint64_t high = same.Next();
  const auto stores = OpenStores({.path = path_, .random = &random});
  ASSERT_TRUE(stores.ok()) << stores.status();
  EXPECT_EQ(stores->store->id(), NewStoreId(high, same.Next()));
}

TEST_F(SqliteOpenTest, AStoreWithoutItsIdIsDamaged) {
  MakeDatabase();
  Sql("UPDATE server SET id = NULL");
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(status), HasSubstr("it has lost its id"));
}

// Every append to the run would be lost.
TEST_F(SqliteOpenTest, AnEpochBehindTheEventsIsDamageWithARemedy) {
  MakeDatabase();
  ASSERT_TRUE(Open().ok());
  {
    auto stores = OpenStores({.path = path_});
    ASSERT_EQ(stores->store->epoch(), 3);
    ASSERT_EQ(AppendNow(*stores->store, TestAppend(TestRunId(1), 3, 1)), AppendResult::kDurable);
    CreateNow(*stores->store, TestRun(TestRunId(2)));  // its event names no epoch
  }
  Sql("UPDATE server SET epoch = 1");
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(Message(status), AllOf(HasSubstr(path_), HasSubstr("its last epoch reads 1"), HasSubstr("event 2 of " + RunName(TestRunId(1))),
                                     HasSubstr("agentd --doctor"), HasSubstr("UPDATE server SET epoch = 3")));
  EXPECT_EQ(Rows("SELECT epoch FROM server"), std::vector<std::string>{"1"}) << "nothing was written";
  Sql("UPDATE server SET epoch = 3");
  auto stores = OpenStores({.path = path_});
  ASSERT_TRUE(stores.ok()) << stores.status();
  EXPECT_EQ(AppendNow(*stores->store, TestAppend(TestRunId(1), stores->store->epoch(), 2)), AppendResult::kDurable);
}

TEST_F(SqliteOpenTest, ADamagedEventSaysNothingOfTheEpoch) {
  MakeDatabase();
  {
    auto stores = OpenStores({.path = path_});
    AppendNow(*stores->store, TestAppend(TestRunId(1), stores->store->epoch(), 1, 2));
  }
  Sql("UPDATE events SET epoch = epoch + 4096 WHERE sequence = 3");
  Sql("UPDATE runs SET epoch = epoch + 4096");
  EXPECT_TRUE(Open().ok()) << Open();
}

TEST_F(SqliteOpenTest, ARestoreThatIsYetToComeIsDamageWithARemedy) {
  MakeDatabase();
  Sql("UPDATE server SET restored_epoch = 64");
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(Message(status), AllOf(HasSubstr(path_), HasSubstr("restored in epoch 64"), HasSubstr("UPDATE server SET restored_epoch = epoch")));
}

TEST_F(SqliteOpenTest, WhatIsNotThereIsNotRestored) {
  const auto restore = [&] { return OpenStores({.path = path_, .restored = true}).status(); };
  const absl::Status missing = restore();
  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(missing), AllOf(HasSubstr(path_), HasSubstr("there is none"), HasSubstr("--restored")));
  EXPECT_FALSE(std::filesystem::exists(path_));
  std::ofstream(path_).close();
  EXPECT_EQ(restore().code(), absl::StatusCode::kFailedPrecondition);
  Sql("PRAGMA application_id=1097290356; VACUUM");  // a database of ours without tables
  EXPECT_EQ(restore().code(), absl::StatusCode::kFailedPrecondition);
  std::filesystem::remove(path_);
  MakeDatabase();
  EXPECT_TRUE(restore().ok());
}

TEST_F(SqliteOpenTest, MakesFolderAndPrivateFile) {
  const std::string path = folder_.File("a/b/agentd.db");
  ASSERT_TRUE(OpenStores({.path = path}).ok());
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((path + "-wal").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(SqliteOpenTest, ClosingLeavesAnEmptyLog) {
  MakeDatabase();
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 0u);
}

TEST_F(SqliteOpenTest, SecondServerIsRefusedWhileTheFirstLives) {
  auto first = OpenStores({.path = path_});
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = Open();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(IsInUse(second));
  EXPECT_THAT(Message(second), AllOf(HasSubstr(path_), HasSubstr(absl::StrCat("process ", getpid()))));
  // By another name it is the same file.
  std::filesystem::create_symlink(path_, folder_.File("link.db"));
  EXPECT_TRUE(IsInUse(OpenStores({.path = folder_.File("link.db")}).status()));
  // The first is unharmed.
  EXPECT_EQ(CreateNow(*first->store, TestRun(TestRunId(1))).kind, CreateOutcome::Kind::kCreated);
  *first = {};
  EXPECT_TRUE(Open().ok());
}

TEST_F(SqliteOpenTest, TheFileStaysClaimedUntilAllStoresAreGone) {
  auto first = OpenStores({.path = path_});
  ASSERT_TRUE(first.ok()) << first.status();
  first->store.reset();
  EXPECT_TRUE(IsInUse(Open()));
  EXPECT_EQ(first->agents->List("", 10)->size(), 0u);
  first->agents.reset();
  EXPECT_TRUE(Open().ok());
}

TEST_F(SqliteOpenTest, NewerFormatIsRefusedAndNotTouched) {
  MakeDatabase();
  Sql("PRAGMA journal_mode=DELETE; PRAGMA user_version=99");
  const auto before = std::filesystem::last_write_time(path_);
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(IsInUse(status));
  EXPECT_THAT(Message(status), AllOf(HasSubstr(path_), HasSubstr("format 99"), HasSubstr("newer server")));
  EXPECT_EQ(std::filesystem::last_write_time(path_), before);
}

TEST_F(SqliteOpenTest, NewerFormatInTheLogAloneIsRefused) {
  MakeDatabase();
  SqlInLog("PRAGMA user_version=99");
  EXPECT_THAT(Message(Open()), HasSubstr("format 99"));
}

// As a power cut leaves a new store whose log was being copied: the file says half of our name, the log all of it.
TEST_F(SqliteOpenTest, AFirstPageThatIsTornBesideItsLogIsTakenFromTheLog) {
  const std::string before = SectorOfNew();
  MakeDatabase();
  SqlInLog(absl::StrCat("PRAGMA user_version=", kFormat));
  const std::string after = SectorInLog();
  const std::string file = Read(path_);
  const std::string log = Read(path_ + "-wal");
  for (size_t at = 56; at <= 76; ++at) {
    for (const std::string& torn : {before.substr(0, at) + after.substr(at), after.substr(0, at) + before.substr(at)}) {
      std::ofstream(path_, std::ios::binary) << torn << file.substr(torn.size());
      std::ofstream(path_ + "-wal", std::ios::binary) << log;
      auto stores = OpenStores({.path = path_});
      ASSERT_TRUE(stores.ok()) << "torn at byte " << at << ": " << stores.status();
      EXPECT_TRUE(stores->store->GetRun(TestRunId(1)).ok());
    }
  }
  // Of a page that is whole the log says nothing: it may be another's.
  std::filesystem::remove(path_ + "-wal");
  Sql("PRAGMA application_id=77");
  std::ofstream(path_ + "-wal", std::ios::binary) << log;
  EXPECT_THAT(Message(Open()), HasSubstr("another program"));
  EXPECT_EQ(Read(path_ + "-wal"), log);
}

TEST_F(SqliteOpenTest, ATornFirstPageOfAnotherProgramIsRefusedAndNotTouched) {
  const std::string before = SectorOfNew();
  SqlInLog("BEGIN; PRAGMA application_id=77; CREATE TABLE theirs (x); COMMIT");
  const std::string after = SectorInLog();
  const std::string log = Read(path_ + "-wal");
  for (const std::string& torn : {before.substr(0, 71) + after.substr(71), after.substr(0, 71) + before.substr(71)}) {
    Write(0, torn);
    const std::string file = Read(path_);
    EXPECT_EQ(Open().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(Open()), HasSubstr("another program"));
    EXPECT_EQ(Read(path_), file);
    EXPECT_EQ(Read(path_ + "-wal"), log);
  }
  // Without its log it is anybody's.
  std::filesystem::remove(path_ + "-wal");
  Write(0, before.substr(0, 70) + std::string("\x52\x74") + after.substr(72));
  EXPECT_THAT(Message(Open()), HasSubstr("another program"));
}

TEST_F(SqliteOpenTest, DatabaseOfAnotherProgramIsRefused) {
  Sql("CREATE TABLE theirs (x)");
  EXPECT_EQ(Open().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(Open()), AllOf(HasSubstr(path_), HasSubstr("another program")));
  Sql("PRAGMA application_id=77");
  EXPECT_THAT(Message(Open()), HasSubstr("another program"));
}

TEST_F(SqliteOpenTest, AnythingElseIsRefusedAndNotTouched) {
  for (const std::string& content : {std::string("hello"), std::string(8192, 'x')}) {
    std::ofstream(path_) << content;
    const absl::Status status = Open();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(status), AllOf(HasSubstr(path_), HasSubstr("not a SQLite database")));
    EXPECT_EQ(std::filesystem::file_size(path_), content.size());
    std::filesystem::remove(path_);
  }
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(Open().ok());
}

TEST_F(SqliteOpenTest, FileCutShortIsDamaged) {
  MakeDatabase();
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 4096);
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(status), AllOf(HasSubstr(path_), HasSubstr("restore it from a backup")));
}

TEST_F(SqliteOpenTest, HeaderThatMakesNoSenseIsDamaged) {
  MakeDatabase();
  Write(16, std::string("\x12\x34", 2));
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SqliteOpenTest, TablesThatMakeNoSenseAreDamaged) {
  MakeDatabase();
  Write(100, std::string(400, '\xff'));  // the root of the table of tables
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(Message(status), HasSubstr(path_));
}

TEST_F(SqliteOpenTest, SecondNameOfTheFileIsRefused) {
  MakeDatabase();
  std::filesystem::create_hard_link(path_, folder_.File("other.db"));
  EXPECT_THAT(Message(Open()), HasSubstr("hard links"));
}

TEST_F(SqliteOpenTest, UnreachablePathIsUnavailable) {
  std::ofstream(folder_.File("file")) << "x";
  const absl::Status status = OpenStores({.path = folder_.File("file/agentd.db")}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr("file/agentd.db"));
}

TEST_F(SqliteOpenTest, AnEmptyFileLeftByACrashIsBegunAnew) {
  std::ofstream(path_).close();
  EXPECT_TRUE(Open().ok());
}

TEST_F(SqliteOpenTest, PeopleCanReadTheTables) {
  {
    auto stores = OpenStores({.path = path_});
    ASSERT_TRUE(stores.ok()) << stores.status();
    const RunId run = TestRunId(1);
    CreateNow(*stores->store, TestRun(run));
    AppendRequest request = TestAppend(run, stores->store->epoch(), 1, 15, StoppedProjection(16));
    // One event of each kind, which the view names by the body's first byte.
    const google::protobuf::OneofDescriptor& kinds = *v1::Event::descriptor()->oneof_decl(0);
    ASSERT_EQ(kinds.field_count(), 16);
    size_t next = 0;
    for (int i = 0; i < kinds.field_count(); ++i) {
      if (kinds.field(i)->number() == v1::Event::kRunCreatedFieldNumber) continue;  // event 1
      auto event = std::make_shared<v1::Event>();
      event->set_sequence(static_cast<Sequence>(next) + 2);
      event->GetReflection()->MutableMessage(event.get(), kinds.field(i));
      request.events[next++] = std::move(event);
    }
    ASSERT_EQ(AppendNow(*stores->store, std::move(request)), AppendResult::kDurable);
  }
  std::vector<std::string> rows = Rows("SELECT agent || ' ' || state || ' ' || stop_reason || ' ' || steps FROM run_list");
  for (const std::string& kind : Rows("SELECT kind FROM journal")) rows.push_back(kind);
  std::vector<std::string> expected = {"docs/1 STOPPED FINAL_ANSWER 3", "run_created"};
  const google::protobuf::OneofDescriptor& kinds = *v1::Event::descriptor()->oneof_decl(0);
  for (int i = 0; i < kinds.field_count(); ++i) {
    if (kinds.field(i)->number() != v1::Event::kRunCreatedFieldNumber) expected.push_back(kinds.field(i)->name());
  }
  EXPECT_EQ(rows, expected);
}

}  // namespace
}  // namespace agentruntime::sqlite
