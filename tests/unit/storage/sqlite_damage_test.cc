// A damaged row costs one run, never the others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/base/log.h"
#include "proto/util/errors.h"
#include "proto/util/time.h"
#include "storage/sqlite/checksum.h"
#include "storage/sqlite/readers.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SqliteDamageTest : public testing::Test {
 protected:
  SqliteDamageTest() {
    Open();
    for (int number = 1; number <= 3; ++number) {
      CreateNow(store(), TestRun(TestRunId(number), {.labels = {{"k", "v"}}}));
      AppendNow(store(), TestAppend(TestRunId(number), store().epoch(), 1, 4));
    }
  }
  Store& store() { return *stores_.store; }
  void Open() {
    auto stores = OpenStores({.path = path_});
    if (!stores.ok()) abort();
    stores_ = *std::move(stores);
  }
  // Runs SQL on the file while nobody serves it, then opens it again.
  void Edit(const std::string& sql) {
    stores_ = {};
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    rows_changed_ = sqlite3_changes(database);
    sqlite3_close(database);
    Open();
  }
  // The same; changes one row.
  void Damage(const std::string& sql) {
    Edit(sql);
    ASSERT_EQ(rows_changed_, 1) << sql;
  }
  // Flips one bit of that byte of `key` in the leaf of the index that holds it, while nobody serves the file. Of the index alone: a statement would change the
  // row as well.
  void FlipInIndex(const std::string& index, const std::string& key, size_t byte, int bit) {
    stores_ = {};
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    file.clear();
    int flipped = 0;
    for (const size_t page : LeavesOf(index)) {
      const size_t at = bytes.find(key, page * kPageBytes);
      if (at >= (page + 1) * kPageBytes) continue;
      file.seekp(static_cast<std::streamoff>(at + byte));
      file.put(static_cast<char>(bytes[at + byte] ^ (1 << bit)));
      ++flipped;
    }
    file.close();
    ASSERT_EQ(flipped, 1) << index;
    Open();
  }

  void ExpectOnlyRun2IsDamaged(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_RUN_DAMAGED);
    EXPECT_THAT(std::string(status.message()), HasSubstr(TestRunId(2).ToString()));
    for (const int number : {1, 3}) {
      EXPECT_EQ(ReadAll(store(), TestRunId(number))->size(), 5u);
      EXPECT_TRUE(store().GetRun(TestRunId(number)).ok());
      EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(number), store().epoch(), 5)), AppendResult::kDurable);
    }
    EXPECT_EQ(store().Info()->set_aside, 1);
  }

  TempDir folder_;
  const std::string path_ = folder_.File("agentd.db");
  Stores stores_;
  int rows_changed_ = 0;

 private:
  static constexpr size_t kPageBytes = 8192;

  std::vector<size_t> LeavesOf(const std::string& index) const {
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    std::vector<size_t> pages;
    const std::string sql = absl::StrCat("SELECT pageno - 1 FROM dbstat WHERE pagetype = 'leaf' AND name = '", index, "'");
    const auto add = [](void* to, int, char** values, char**) { return static_cast<std::vector<size_t>*>(to)->push_back(std::stoul(values[0])), 0; };
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), add, &pages, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
    return pages;
  }
};

TEST_F(SqliteDamageTest, FlippedByteInABodyIsDataLossOfThatRun) {
  // One byte of the text of event 3: it still decodes.
  Damage("UPDATE events SET body = CAST(replace(body, 'ddddd', 'ddddx') AS BLOB) WHERE run = 2 AND sequence = 3");
  const auto events = ReadAll(store(), TestRunId(2));
  EXPECT_THAT(std::string(events.status().message()), HasSubstr("event 3"));
  ExpectOnlyRun2IsDamaged(events.status());
  EXPECT_EQ(store().ReadEvents(TestRunId(2), 0, {.events_max = 2})->size(), 2u);  // what is before it is good
}

TEST_F(SqliteDamageTest, ChangedEnvelopeIsDataLoss) {
  for (const char* column : {"time_us", "active_us", "step", "epoch"}) {
    Damage(absl::StrCat("UPDATE events SET ", column, " = ", column, " + 1 WHERE run = 2 AND sequence = 3"));
    EXPECT_EQ(ReadAll(store(), TestRunId(2)).status().code(), absl::StatusCode::kDataLoss) << column;
    Damage(absl::StrCat("UPDATE events SET ", column, " = ", column, " - 1 WHERE run = 2 AND sequence = 3"));
    EXPECT_TRUE(ReadAll(store(), TestRunId(2)).ok()) << column;
  }
}

TEST_F(SqliteDamageTest, AnEventInThePlaceOfAnotherIsDataLoss) {
  Edit("DELETE FROM events WHERE run = 2 AND sequence = 5; UPDATE events SET sequence = 5 WHERE run = 2 AND sequence = 4");
  Damage("INSERT INTO events SELECT NULL, run, 4, time_us, active_us, step, epoch, body, crc FROM events WHERE run = 2 AND sequence = 5");
  EXPECT_THAT(std::string(ReadAll(store(), TestRunId(2)).status().message()), HasSubstr("event 5"));
}

TEST_F(SqliteDamageTest, AnEventOfAnotherRunIsDataLoss) {
  Edit("DELETE FROM events WHERE run = 2 AND sequence = 3");
  Damage("INSERT INTO events SELECT NULL, 2, sequence, time_us, active_us, step, epoch, body, crc FROM events WHERE run = 1 AND sequence = 3");
  ExpectOnlyRun2IsDamaged(ReadAll(store(), TestRunId(2)).status());
}

TEST_F(SqliteDamageTest, MissingEventIsDataLoss) {
  Damage("DELETE FROM events WHERE run = 2 AND sequence = 3");
  ExpectOnlyRun2IsDamaged(ReadAll(store(), TestRunId(2)).status());
}

TEST_F(SqliteDamageTest, MissingLastEventIsDataLoss) {
  Damage("DELETE FROM events WHERE run = 2 AND sequence = 5");
  ExpectOnlyRun2IsDamaged(ReadAll(store(), TestRunId(2)).status());
}

TEST_F(SqliteDamageTest, AnyChangedColumnOfARunIsDataLoss) {
  for (const char* column : {"tenant",          "request_id",  "agent",         "revision",   "title",        "created_us",
                             "state",           "stop_reason", "steps",         "tool_calls", "input_tokens", "cached_input_tokens",
                             "output_tokens",   "active_us",   "started_us",    "updated_us", "stopped_us",   "last_sequence",
                             "answer_sequence", "last_step",   "barren_starts", "wake_us",    "epoch",        "journal_bytes"}) {
    Damage(absl::StrCat("CREATE TABLE kept AS SELECT ", column, " AS value FROM runs WHERE id = 2; UPDATE runs SET ", column, " = coalesce(", column,
                        ", 0) || '1' WHERE id = 2"));
    EXPECT_EQ(store().GetRun(TestRunId(2)).status().code(), absl::StatusCode::kDataLoss) << column;
    Edit(absl::StrCat("UPDATE runs SET ", column, " = (SELECT value FROM kept) WHERE id = 2; DROP TABLE kept"));
    EXPECT_TRUE(store().GetRun(TestRunId(2)).ok()) << column;
  }
}

TEST_F(SqliteDamageTest, DamagedRunIsLeftOutOfLists) {
  Damage("UPDATE runs SET title = 'x' WHERE id = 2");
  EXPECT_EQ(store().Info()->set_aside, 0);  // nobody has met it yet
  EXPECT_EQ(store().ListRuns({})->runs.size(), 2u);
  EXPECT_EQ(store().ListRuns({.labels = {{"k", "v"}}})->runs.size(), 2u);
  EXPECT_EQ(store().UnfinishedRuns(std::nullopt, 10)->size(), 2u);
  ExpectOnlyRun2IsDamaged(store().GetRun(TestRunId(2)).status());
}

// Runs whose ids are a bit apart.
class SqliteOrderTest : public SqliteDamageTest {
 protected:
  static RunId IdOf(int number) { return RunId::New(TestTime(10), 7, static_cast<uint64_t>(number)); }
  static std::string KeyOf(int number) { return std::string(IdOf(number).bytes()); }
  void CreateRuns(int count) {
    for (int number = 1; number <= count; ++number) CreateNow(store(), TestRun(IdOf(number), {.labels = {{"order", "v"}}}));
  }
  std::vector<int> Listed(bool oldest_first) {
    const auto page = store().ListRuns({.labels = {{"order", "v"}}, .oldest_first = oldest_first});
    std::vector<int> numbers;
    for (const RunRecord& record : page->runs) {
      for (int number = 1; number <= 3; ++number) {
        if (record.id == IdOf(number)) numbers.push_back(number);
      }
    }
    return numbers;
  }
  static constexpr size_t kLast = 15;  // byte of an id
};

TEST_F(SqliteOrderTest, ALabelThatNamesAnEarlierRunOfItShowsItOnce) {
  CreateRuns(3);
  FlipInIndex("run_labels", KeyOf(3), kLast, 0);  // 2
  EXPECT_THAT(Listed(/*oldest_first=*/true), ElementsAre(1, 2));
  EXPECT_THAT(Listed(/*oldest_first=*/false), ElementsAre(2, 1));
  EXPECT_EQ(store().Info()->set_aside, 1);
  EXPECT_EQ(store().ListRuns({})->runs.size(), 6u);
}

TEST_F(SqliteOrderTest, ALabelThatNamesALaterRunOfItHidesNoneBetween) {
  CreateRuns(3);
  FlipInIndex("run_labels", KeyOf(1), kLast, 1);  // 3
  EXPECT_THAT(Listed(/*oldest_first=*/true), ElementsAre(2, 3));
  EXPECT_THAT(Listed(/*oldest_first=*/false), ElementsAre(3, 2));
}

// At the last row of a statement, where the next one goes on: an id that sorts behind all others, and one that sorts before them.
TEST_F(SqliteOrderTest, UnfinishedRunsBehindADamagedIndexAreFound) {
  constexpr int kRuns = kReadRowsMax + 10;
  constexpr int kAt = kReadRowsMax - 3;  // there are three more
  CreateRuns(kRuns);
  for (const int bit : {7, 0}) {
    FlipInIndex("runs_unfinished", KeyOf(kAt), 0, bit);
    std::set<RunId> found;
    const auto page = store().UnfinishedRuns(std::nullopt, 2 * kReadRowsMax);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const UnfinishedRun& run : *page) EXPECT_TRUE(found.insert(run.id).second) << run.id.ToString();
    EXPECT_EQ(found.size(), static_cast<size_t>(kRuns + 3 - 1)) << "bit " << bit;
    EXPECT_FALSE(found.contains(IdOf(kAt)));
    EXPECT_EQ(store().Info()->set_aside, 1) << "bit " << bit;
    FlipInIndex("runs_unfinished", KeyOf(kAt).substr(1), static_cast<size_t>(-1), bit);
  }
}

TEST_F(SqliteDamageTest, RowsThatWereSwappedAreDamaged) {
  Damage("UPDATE runs SET (state_crc, updated_us) = (SELECT state_crc, updated_us FROM runs WHERE id = 1) WHERE id = 2");
  EXPECT_EQ(store().GetRun(TestRunId(2)).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SqliteDamageTest, ADamagedStoppedRunCanBeDeleted) {
  AppendNow(store(), TestAppend(TestRunId(2), store().epoch(), 5, 1, StoppedProjection(6)));
  Damage("UPDATE runs SET title = 'x' WHERE id = 2");
  ASSERT_FALSE(store().GetRun(TestRunId(2)).ok());
  EXPECT_TRUE(DeleteNow(store(), TestRunId(2)).ok());
  EXPECT_EQ(store().GetRun(TestRunId(2)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store().Info()->set_aside, 0);
}

// A retry is told the truth or that there is none to be had: not that its request id is another request's, nor of another's run.
class SqliteRequestDamageTest : public SqliteDamageTest {
 protected:
  SqliteRequestDamageTest() {
    for (int number = 4; number <= 6; ++number) CreateNow(store(), TestRun(TestRunId(number), {.request_id = Job(number)}));
  }
  static std::string Job(int number) { return absl::StrCat("job-", number); }
  // What the request is answered, also by a transaction in which another run is accepted.
  CreateOutcome::Kind Retry(int number) {
    const int ids = 1000 * ++retries_;
    Awaited<CreateOutcome> again, other;
    Plug plug(store(), TestRunId(ids));
    store().Create(TestRun(TestRunId(ids + 1), {.request_id = Job(number)}), [&](CreateOutcome outcome) { again.Set(outcome); });
    store().Create(TestRun(TestRunId(ids + 2)), [&](CreateOutcome outcome) { other.Set(outcome); });
    const auto found = store().FindRequest("", Job(number), "hash");
    plug.Release();
    EXPECT_EQ(other.Wait().kind, CreateOutcome::Kind::kCreated);
    const CreateOutcome::Kind kind = again.Wait().kind;
    if (!found.ok() || !*found) {
      ADD_FAILURE() << found.status() << ": nothing is found of " << Job(number);
    } else {
      EXPECT_EQ((*found)->kind, kind);
    }
    return kind;
  }

 private:
  int retries_ = 0;
};

TEST_F(SqliteRequestDamageTest, AnyChangedColumnOfItsRun) {
  ASSERT_EQ(Retry(5), CreateOutcome::Kind::kExists);
  const auto expect_damaged = [&](absl::string_view column, const std::string& changed) {
    Damage(absl::StrCat("CREATE TABLE kept AS SELECT ", column, " AS value FROM runs WHERE id = 5; UPDATE runs SET ", column, " = ", changed, " WHERE id = 5"));
    EXPECT_EQ(Retry(5), CreateOutcome::Kind::kDamaged) << column;
    Edit(absl::StrCat("UPDATE runs SET ", column, " = (SELECT value FROM kept) WHERE id = 5; DROP TABLE kept"));
    EXPECT_EQ(Retry(5), CreateOutcome::Kind::kExists) << column;
  };
  for (const char* column : {"agent",      "revision",    "title",         "created_us",      "conversation",  "base_sequence",       "accepted_crc",
                             "state",      "stop_reason", "steps",         "tool_calls",      "input_tokens",  "active_us",           "started_us",
                             "updated_us", "stopped_us",  "last_sequence", "last_step",       "output_tokens", "cached_input_tokens", "barren_starts",
                             "wake_us",    "epoch",       "journal_bytes", "answer_sequence", "state_crc"}) {
    expect_damaged(column, absl::StrCat("coalesce(", column, ", 0) || '1'"));
  }
  for (const char* column : {"run", "request_hash", "labels", "base", "detail"}) {
    expect_damaged(column, absl::StrCat("CAST(coalesce(", column, ", '') || 'x' AS BLOB)"));
  }
}

TEST_F(SqliteRequestDamageTest, AnIndexThatLeadsToAnotherRequest) {
  FlipInIndex("runs_by_request", Job(6), Job(6).size() - 1, 0);  // 7
  EXPECT_EQ(Retry(7), CreateOutcome::Kind::kDamaged);
  EXPECT_EQ(Retry(5), CreateOutcome::Kind::kExists);
}

class SqliteAgentDamageTest : public SqliteDamageTest {
 protected:
  SqliteAgentDamageTest() {
    for (const char* id : {"a", "docs", "z"}) EXPECT_TRUE(agents().Create(Agent(id), TestTime(1)).ok());
  }
  AgentStore& agents() { return *stores_.agents; }
  static v1::Agent Agent(const std::string& id) {
    v1::Agent agent;
    agent.set_name("agents/" + id);
    agent.set_instructions("Answer.");
    return agent;
  }
  std::vector<std::string> Listed(int32_t limit) {
    const auto listed = agents().List("", limit);
    EXPECT_TRUE(listed.ok()) << listed.status();
    std::vector<std::string> names;
    for (const v1::Agent& agent : *listed) names.push_back(agent.name());
    return names;
  }
  // The newest revision cannot be read, and the same agent applied again, as every start does, can.
  void ExpectDamagedUntilApplied(const std::string& why) {
    const absl::Status status = agents().Get("docs", 0).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_AGENT_UNUSABLE);
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("agents/docs"), HasSubstr(why), HasSubstr("apply the agent again")));
    EXPECT_THAT(Listed(10), ElementsAre("agents/a", "agents/z"));
    EXPECT_THAT(Listed(2), ElementsAre("agents/a", "agents/z")) << "a page that is short is the last";

    const auto applied = agents().Update(Agent("docs"), /*allow_missing=*/true, TestTime(2));
    ASSERT_TRUE(applied.ok()) << applied.status();
    EXPECT_EQ(applied->revision(), "agents/docs/revisions/2");
    EXPECT_EQ(agents().Update(Agent("docs"), true, TestTime(3))->revision(), "agents/docs/revisions/2");
    EXPECT_EQ(agents().Get("docs", 0)->instructions(), "Answer.");
    EXPECT_THAT(Listed(10), ElementsAre("agents/a", "agents/docs", "agents/z"));
  }
};

TEST_F(SqliteAgentDamageTest, ContentOfARevision) {
  Damage("UPDATE agent_revisions SET content = CAST(replace(content, 'Answer', 'Answe!') AS BLOB) WHERE agent = 'docs'");
  ExpectDamagedUntilApplied("its checksum does not fit");
  EXPECT_EQ(agents().Get("docs", 1).status().code(), absl::StatusCode::kDataLoss) << "the runs that use it";
}

TEST_F(SqliteAgentDamageTest, WhatIsBesideTheContentOfARevision) {
  Damage("UPDATE agent_revisions SET created_us = created_us + 1 WHERE agent = 'docs'");
  ExpectDamagedUntilApplied("its checksum does not fit");
}

TEST_F(SqliteAgentDamageTest, TheChecksumOfARevision) {
  Damage("UPDATE agent_revisions SET crc = crc + 1 WHERE agent = 'docs'");
  ExpectDamagedUntilApplied("its checksum does not fit");
}

TEST_F(SqliteAgentDamageTest, TheNumberOfTheNewestRevision) {
  Damage("UPDATE agents SET revision = 4097 WHERE agent = 'docs'");
  EXPECT_TRUE(agents().Get("docs", 1).ok()) << "runs that use it go on";
  ExpectDamagedUntilApplied("is not there");
}

TEST_F(SqliteAgentDamageTest, AnIndexThatNamesAnotherAgentListsNoneTwice) {
  for (const char* id : {"agent-a", "agent-c"}) ASSERT_TRUE(agents().Update(Agent(id), true, TestTime(2)).ok());
  ASSERT_THAT(Listed(10), ElementsAre("agents/a", "agents/agent-a", "agents/agent-c", "agents/docs", "agents/z"));
  Edit("PRAGMA wal_checkpoint(TRUNCATE)");
  stores_ = {};
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
  int64_t page = 0;
  sqlite3_exec(
      database, "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_agents_1'",
      [](void* found, int, char** values, char**) { return *static_cast<int64_t*>(found) = std::stoll(values[0]), 0; }, &page, nullptr);
  sqlite3_close(database);
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  std::string bytes(8192, '\0');
  file.seekg((page - 1) * 8192);
  ASSERT_TRUE(file.read(bytes.data(), 8192));
  const size_t at = bytes.find("agent-a");
  ASSERT_NE(at, std::string::npos);
  file.seekp((page - 1) * 8192 + static_cast<int64_t>(at) + 6);
  file.put('c');
  file.close();
  Open();
  EXPECT_THAT(Listed(10), ElementsAre("agents/a", "agents/agent-c", "agents/docs", "agents/z"));
}

// Both are whole revisions: only that there is a newer one tells.
TEST_F(SqliteAgentDamageTest, AnOlderRevisionInThePlaceOfTheNewest) {
  for (const int older : {1, 2}) {
    v1::Agent agent = Agent("docs");
    agent.set_instructions(absl::StrCat("Answer, and ask before ", older, "."));
    ASSERT_TRUE(agents().Update(agent, false, TestTime(2)).ok());
    agent.set_instructions(absl::StrCat("Do not answer, ", older, "."));
    const auto newest = agents().Update(agent, false, TestTime(3));
    ASSERT_TRUE(newest.ok()) << newest.status();
    const std::string etag = agents().Get("docs", older)->etag();
    Damage(absl::StrCat("UPDATE agents SET revision = ", older, " WHERE agent = 'docs'"));

    const absl::Status status = agents().Get("docs", 0).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_AGENT_UNUSABLE);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("agents/docs is damaged"), HasSubstr(absl::StrCat("names revision ", older)), HasSubstr("apply the agent again")));
    EXPECT_THAT(Listed(10), ElementsAre("agents/a", "agents/z"));
    EXPECT_EQ(agents().Get("docs", older + 1)->revision(), absl::StrCat("agents/docs/revisions/", older + 1)) << "runs that use it go on";
    v1::Agent changed = Agent("docs");
    changed.set_etag(etag);
    EXPECT_EQ(ReasonOf(agents().Update(changed, false, TestTime(4)).status()), v1::ERROR_REASON_ETAG_STALE) << "of what is not the newest";

    // Also what the older revision holds.
    const auto applied = agents().Update(Agent("docs"), true, TestTime(4));
    ASSERT_TRUE(applied.ok()) << applied.status();
    EXPECT_EQ(agents().Get("docs", 0)->revision(), applied->revision());
    EXPECT_GT(applied->revision(), newest->revision());
    EXPECT_THAT(Listed(10), ElementsAre("agents/a", "agents/docs", "agents/z"));
  }
}

TEST_F(SqliteAgentDamageTest, ADamagedRevisionAboveTheNewestSaysNothing) {
  v1::Agent agent = Agent("docs");
  agent.set_instructions("Answer again.");
  ASSERT_TRUE(agents().Update(agent, false, TestTime(2)).ok());
  Damage("UPDATE agent_revisions SET revision = 4097 WHERE agent = 'docs' AND revision = 1");
  EXPECT_EQ(agents().Get("docs", 0)->revision(), "agents/docs/revisions/2");
  EXPECT_THAT(Listed(10), ElementsAre("agents/a", "agents/docs", "agents/z"));
}

TEST_F(SqliteAgentDamageTest, TheCreateTimeOfAnAgent) {
  v1::Agent agent = Agent("docs");
  agent.set_instructions("Answer again.");
  ASSERT_TRUE(agents().Update(agent, false, TestTime(2)).ok());
  Damage("UPDATE agents SET created_us = created_us + 4096 WHERE agent = 'docs'");
  const auto created = [&](int32_t revision) { return FromProto(agents().Get("docs", revision)->create_time()); };
  EXPECT_EQ(created(0), TestTime(1));
  EXPECT_EQ(created(1), TestTime(1));
  agent.set_instructions("Answer once more.");
  ASSERT_TRUE(agents().Update(agent, false, TestTime(3)).ok());
  // The new revision has mended the row: now it is what counts when the first one cannot be read.
  Damage("UPDATE agent_revisions SET created_us = created_us + 1 WHERE agent = 'docs' AND revision = 1");
  EXPECT_EQ(created(0), TestTime(1));
}

TEST_F(SqliteAgentDamageTest, HoweverManyAreDamagedAListLogsOneLine) {
  Edit("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) INSERT INTO agents SELECT 'b' || i, 1, 0 FROM n");
  ::testing::internal::CaptureStderr();
  EXPECT_THAT(Listed(10), ElementsAre("agents/a", "agents/docs", "agents/z")) << "a page that is short is the last";
  FlushLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  EXPECT_THAT(log, AllOf(HasSubstr("2500"), HasSubstr("agents/b1 is damaged")));
}

TEST_F(SqliteAgentDamageTest, TheNumberOfARevision) {
  Damage("UPDATE agent_revisions SET revision = 2 WHERE agent = 'docs'");
  EXPECT_EQ(agents().Get("docs", 1).status().code(), absl::StatusCode::kNotFound);
  const auto applied = agents().Update(Agent("docs"), /*allow_missing=*/true, TestTime(2));
  ASSERT_TRUE(applied.ok()) << applied.status();
  EXPECT_EQ(applied->revision(), "agents/docs/revisions/3") << "2 is taken";
}

TEST_F(SqliteAgentDamageTest, TheRowOfAnAgent) {
  Damage("DELETE FROM agents WHERE agent = 'docs'");
  EXPECT_EQ(agents().Get("docs", 0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(agents().Get("docs", 1).ok()) << "runs that use it go on";
  const auto applied = agents().Update(Agent("docs"), /*allow_missing=*/true, TestTime(2));
  ASSERT_TRUE(applied.ok()) << applied.status();
  EXPECT_EQ(applied->revision(), "agents/docs/revisions/2");
}

TEST_F(SqliteDamageTest, AMalformedPageIsDataLoss) {
  Edit("PRAGMA writable_schema=ON; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'runs_by_run') WHERE name = 'events'");
  const absl::Status status = ReadAll(store(), TestRunId(2)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("SQLite code 11"));
}

// The runs before it are taken up; only the call that begins behind them says that there is a fault.
TEST_F(SqliteDamageTest, AMalformedPageKeepsNoUnfinishedRunBeforeItBack) {
  constexpr int kRuns = 300, kDamaged = 150;
  Awaited<bool> last;
  for (int number = 4; number <= kRuns; ++number) {
    store().Create(TestRun(TestRunId(number)), [&, number](CreateOutcome) {
      if (number == kRuns) last.Set(true);
    });
  }
  last.Wait();
  stores_ = {};
  constexpr size_t kPage = 8192;
  constexpr char kTableLeaf = 13;
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  file.clear();
  int damaged = 0;
  for (size_t page = kPage; page < bytes.size(); page += kPage) {
    if (bytes[page] != kTableLeaf || bytes.substr(page, kPage).find(std::string(TestRunId(kDamaged).bytes())) == std::string::npos) continue;
    file.seekp(static_cast<std::streamoff>(page));
    file.put('\0');
    ++damaged;
  }
  file.close();
  ASSERT_EQ(damaged, 1) << "the page of the run's row";
  Open();
  const auto runs = store().UnfinishedRuns(std::nullopt, 1000);
  ASSERT_TRUE(runs.ok()) << runs.status();
  ASSERT_GT(runs->size(), 50u);
  for (size_t i = 0; i < runs->size(); ++i) EXPECT_EQ((*runs)[i].id, TestRunId(static_cast<int>(i) + 1));
  const absl::Status status = store().UnfinishedRuns(runs->back().id, 1000).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("agentd --doctor"));
}

TEST_F(SqliteDamageTest, AnIndexThatLeadsAstrayIsToldOfTheRunThatWasAskedFor) {
  constexpr int kRuns = 16;
  for (int number = 4; number <= kRuns; ++number) CreateNow(store(), TestRun(TestRunId(number)));
  stores_ = {};
  constexpr size_t kPage = 8192;
  constexpr char kIndexLeaf = 10;
  std::ifstream in(path_, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  int misled = 0;
  for (int damaged = 1; damaged <= kRuns; ++damaged) {
    std::string bytes = whole;
    for (size_t page = kPage; page < bytes.size(); page += kPage) {
      const size_t at = bytes.find(std::string(TestRunId(damaged).bytes()), page);
      if (bytes[page] == kIndexLeaf && at < page + kPage) bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    }
    std::ofstream(path_, std::ios::binary) << bytes;
    Open();
    for (int number = 1; number <= kRuns; ++number) {
      const auto record = store().GetRun(TestRunId(number));
      if (record.ok()) {
        EXPECT_EQ(record->id, TestRunId(number));
      } else {
        EXPECT_THAT(std::string(record.status().message()), HasSubstr(TestRunId(number).ToString())) << damaged;
        if (!absl::IsDataLoss(record.status())) continue;
        ++misled;
        EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(number), store().epoch(), 1)), AppendResult::kLost) << "it would be written to another run";
      }
    }
    stores_ = {};
  }
  EXPECT_GT(misled, 0);
}

// Only if nothing reads the log.
bool CanRestartLog(const std::string& path) {
  sqlite3* database = nullptr;
  if (sqlite3_open(path.c_str(), &database) != SQLITE_OK) return false;
  sqlite3_exec(database, "SELECT * FROM server", nullptr, nullptr, nullptr);  // only a connection that has read knows of the log
  const int code = sqlite3_wal_checkpoint_v2(database, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_close(database);
  return code == SQLITE_OK;
}

TEST_F(SqliteDamageTest, ReadsThatMetDamageLetGoOfTheLog) {
  v1::Agent agent;
  agent.set_name("agents/docs");
  agent.set_instructions("Answer.");
  ASSERT_TRUE(stores_.agents->Create(agent, TestTime(1)).ok());
  Damage("UPDATE events SET step = step + 1 WHERE run = 2 AND sequence = 3");
  Damage("UPDATE agent_revisions SET content = CAST(replace(content, 'Answer', 'Answe!') AS BLOB)");
  const auto write = [&](Sequence last) { AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), last)); };
  write(5);
  ASSERT_FALSE(ReadAll(store(), TestRunId(2)).ok());
  write(6);
  EXPECT_TRUE(CanRestartLog(path_)) << "after a damaged event";
  write(7);
  ASSERT_FALSE(stores_.agents->Get("docs", 0).ok());
  write(8);
  EXPECT_TRUE(CanRestartLog(path_)) << "after a damaged agent";
}

int64_t Sum(const std::vector<absl::string_view>& values) {
  Checksum checksum;
  for (const absl::string_view value : values) checksum.Add(value);
  return checksum.value();
}

TEST(ChecksumTest, DependsOnValuesTheirOrderTypesAndBounds) {
  EXPECT_EQ(Sum({"ab", "c"}), Sum({"ab", "c"}));
  EXPECT_NE(Sum({"ab", "c"}), Sum({"a", "bc"}));
  EXPECT_NE(Sum({"ab", "c"}), Sum({"c", "ab"}));
  EXPECT_NE(Sum({""}), Sum({}));
  Checksum null, number;
  null.AddNull();
  number.Add(int64_t{0});
  EXPECT_NE(null.value(), number.value());
  EXPECT_NE(null.value(), Sum({""}));
}

}  // namespace
}  // namespace agentruntime::sqlite
