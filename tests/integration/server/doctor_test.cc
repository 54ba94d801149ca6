// agentd --doctor over stores that real servers wrote: whole, damaged, in use, old, and none.
#include <sqlite3.h>

#include <atomic>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/integration/server/fixture.h"
#include "tests/support/http_server.h"
#include "tests/support/old_store.h"

namespace agentruntime::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class DoctorTest : public ::testing::Test {
 protected:
  // Runs to their ends; their names, oldest first.
  std::vector<std::string> Work(int runs) {
    server_.Start();
    const Stubs stubs(server_.Connect());
    std::vector<std::string> names;
    for (int i = 0; i < runs; ++i) {
      const auto created = Create(stubs, Submit("add"));
      const auto run = created.ok() ? AwaitStop(stubs, created->name()) : created;
      EXPECT_TRUE(run.ok()) << run.status();
      if (run.ok()) names.push_back(run->name());
    }
    return names;
  }
  void Stop() {
    server_.Send(SIGTERM);
    ASSERT_EQ(server_.WaitForEnd(), 0);
  }
  void Change(const std::string& sql) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(server_.File(kStore).c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
  }
  int64_t Read(const std::string& sql) const {
    sqlite3* database = nullptr;
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_open_v2(server_.File(kStore).c_str(), &database, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_prepare_v2(database, sql.c_str(), -1, &statement, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
    const int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return value;
  }
  Ended Doctor() const { return RunAgentd(server_.folder(), {"--doctor", "--config", "agentd.yaml"}); }

  static constexpr char kStore[] = "data/agentd.db";
  TestServer server_;
};

TEST_F(DoctorTest, AStoreThatIsWholeAndStaysAsItIs) {
  ASSERT_EQ(Work(2).size(), 2u);
  Stop();
  const int64_t epoch = Read("SELECT epoch FROM server");
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(ended.out, "2 runs, 0 damaged; the file is whole\n");
  EXPECT_EQ(Read("SELECT epoch FROM server"), epoch);
}

TEST_F(DoctorTest, WhatACrashLeftIsReadToo) {
  ASSERT_EQ(Work(2).size(), 2u);
  server_.Kill();
  const auto log_bytes = std::filesystem::file_size(server_.File(kStore) + "-wal");
  ASSERT_GT(log_bytes, 0u);
  const Ended ended = Doctor();
  EXPECT_EQ(ended.out, "2 runs, 0 damaged; the file is whole\n") << ended.err;
  EXPECT_EQ(std::filesystem::file_size(server_.File(kStore) + "-wal"), log_bytes) << "for the copy that is made next";
}

TEST_F(DoctorTest, ADamagedRunIsNamedAndNoOther) {
  const std::vector<std::string> runs = Work(3);
  ASSERT_EQ(runs.size(), 3u);
  Stop();
  Change("UPDATE events SET body = zeroblob(length(body)) WHERE sequence = 2 AND run = (SELECT id FROM runs ORDER BY id LIMIT 1 OFFSET 1)");
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_THAT(ended.out, AllOf(HasSubstr(runs[1] + ": "), HasSubstr("the checksum of event 2 does not fit"), Not(HasSubstr(runs[0])), Not(HasSubstr(runs[2])),
                               HasSubstr("3 runs, 1 damaged; the file is whole\n")));
}

TEST_F(DoctorTest, ARunThatItsIndexHidesIsFoundOut) {
  ASSERT_EQ(Work(2).size(), 2u);
  Stop();
  // The row goes behind the index's back.
  Change("PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = sql || ' WHERE 0' WHERE name = 'runs_by_run'");
  Change("UPDATE runs SET run = zeroblob(16) WHERE id = (SELECT min(id) FROM runs)");
  Change("PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql, ' WHERE 0', '') WHERE name = 'runs_by_run'");
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_THAT(ended.out, AllOf(HasSubstr("runs_by_run"), HasSubstr("2 runs, 1 damaged; the file is damaged\n")));
}

TEST_F(DoctorTest, DamagedAgentsAreNamedAndTheNextStartMendsThem) {
  ASSERT_EQ(Work(1).size(), 1u);
  Stop();
  Change("UPDATE agent_revisions SET created_us = created_us + 1 WHERE agent = 'tester'");
  Change("INSERT INTO agents (agent, revision, created_us) VALUES ('lost', 3, 0)");
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_THAT(ended.out, AllOf(HasSubstr("agents/tester/revisions/1 is damaged (its checksum does not fit)"), HasSubstr("agents/lost is damaged"),
                               HasSubstr("1 run, 0 damaged; faults of agents: 2; the file is whole\n")));
  EXPECT_EQ(Work(1).size(), 1u) << "the server starts and serves the agent";
}

TEST_F(DoctorTest, AnAgentWhoseRowIsDamagedIsNamed) {
  ASSERT_EQ(Work(1).size(), 1u);
  Stop();
  server_.Write("tester.yaml", "name: tester\nmodel: script\ntools: [calculator]\ninstructions: Add, and nothing else.\n");
  ASSERT_EQ(Work(1).size(), 1u);
  Stop();
  ASSERT_EQ(Read("SELECT revision FROM agents WHERE agent = 'tester'"), 2);
  Change("UPDATE agents SET revision = 1, created_us = created_us + 65536 WHERE agent = 'tester'");
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_THAT(ended.out, AllOf(HasSubstr("agents/tester is damaged (its row names revision 1 as the newest, and there is 2)"),
                               HasSubstr("agents/tester: the create time in its row"), HasSubstr("faults of agents: 2; the file is whole\n")));
  EXPECT_EQ(Work(1).size(), 1u) << "the start applies the agent again";
  Stop();
  EXPECT_EQ(Read("SELECT revision FROM agents WHERE agent = 'tester'"), 3);
  EXPECT_EQ(Doctor().exit_code, 0);
}

TEST_F(DoctorTest, LabelsAreHeldAgainstThoseOfTheFirstEvent) {
  server_.Start();
  const Stubs stubs(server_.Connect());
  std::vector<std::string> runs;
  for (int i = 0; i < 4; ++i) {
    auto request = Submit("add");
    request.mutable_run()->mutable_labels()->insert({"customer", absl::StrCat("c", i)});
    const auto created = Create(stubs, request);
    ASSERT_TRUE(created.ok()) << created.status();
    ASSERT_TRUE(AwaitStop(stubs, created->name()).ok());
    runs.push_back(created->name());
  }
  Stop();
  EXPECT_EQ(Doctor().exit_code, 0);
  Change("UPDATE run_labels SET value = 'b0' WHERE value = 'c0'");
  Change("UPDATE run_labels SET key = 'custome2' WHERE value = 'c1'");
  Change("UPDATE run_labels SET run = zeroblob(16) WHERE value = 'c2'");
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 65);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(ended.out, HasSubstr(absl::StrCat(runs[static_cast<size_t>(i)], ": its label customer=c", i, " is missing where lists look")));
  }
  EXPECT_THAT(ended.out, AllOf(Not(HasSubstr(runs[3])), HasSubstr("labels that no run has: 3\n"), HasSubstr("4 runs, 3 damaged; the file is damaged\n")));
}

TEST_F(DoctorTest, AnEpochThatIsBehindIsFoundOut) {
  Work(1);
  Stop();
  Work(1);
  Stop();
  Change("UPDATE server SET epoch = 1");
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_THAT(ended.out,
              AllOf(HasSubstr("events of an epoch that the store's own row has not come to: "), HasSubstr("2 runs, 0 damaged; the file is damaged\n")));
}

TEST_F(DoctorTest, EventsWithoutARunAreCounted) {
  ASSERT_EQ(Work(1).size(), 1u);
  Stop();
  Change("INSERT INTO events SELECT NULL, 77, sequence, time_us, active_us, step, epoch, body, crc FROM events WHERE sequence <= 3");
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_THAT(ended.out, AllOf(HasSubstr("events without a run: 3\n"), HasSubstr("1 run, 0 damaged; the file is damaged\n")));
}

class DoctorOfArtifactsTest : public DoctorTest {
 protected:
  DoctorOfArtifactsTest() {
    server_.Write("agentd.yaml", absl::StrCat(R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: script, scripted: {file: script.json}}]
agents: [tester.yaml]
tools: [{name: export, http_call: {url: ")",
                                              endpoint_.Url("/export"), R"(", description: Exports everything., side_effect: READ_ONLY}}]
)"));
    server_.Write("tester.yaml", "name: tester\nmodel: script\ntools: [export]\n");
    server_.Write("script.json", R"({"steps": [{"repeat": 3, "calls": [{"tool": "export", "arguments": {}}]}, {"text": ["done"]}]})");
  }

  // Each answer is another one, so that each is kept.
  HttpServer endpoint_{[](const ServedRequest&, HttpServer::Connection& c) {
    static std::atomic<int> number = 0;
    c.Answer(200, std::string(300'000, static_cast<char>('a' + number++ % 26)), "Content-Type: text/plain\r\n");
  }};
};

TEST_F(DoctorOfArtifactsTest, EachDamagedArtifactIsNamedAlsoBesideADamagedJournal) {
  const std::vector<std::string> runs = Work(2);
  ASSERT_EQ(runs.size(), 2u);
  Stop();
  EXPECT_EQ(Doctor().exit_code, 0);
  const std::string second = "(SELECT run FROM runs ORDER BY id LIMIT 1 OFFSET 1)";
  Change(absl::StrCat("UPDATE artifact_chunks SET data = zeroblob(length(data)) WHERE chunk = 1 AND number IN (1, 2) AND run = ", second));
  Change("DELETE FROM artifacts WHERE number = 3 AND run = (SELECT min(run) FROM runs)");
  Change("UPDATE events SET body = zeroblob(length(body)) WHERE sequence = 2 AND run = (SELECT max(id) FROM runs)");
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_THAT(ended.out, AllOf(HasSubstr(runs[1] + ": the journal"), HasSubstr(runs[1] + "/artifacts/1: "), HasSubstr(runs[1] + "/artifacts/2: "),
                               Not(HasSubstr(runs[1] + "/artifacts/3: ")), HasSubstr(runs[0] + "/artifacts/3 is damaged (it is not there)"),
                               Not(HasSubstr(runs[0] + "/artifacts/1: ")), HasSubstr("2 runs, 2 damaged; the file is whole\n")));
}

TEST_F(DoctorTest, AnOldFormatIsNotRenewed) {
  std::filesystem::create_directory(server_.File("data"));
  MakeOldStore(server_.File(kStore), kOldFormats);
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 74);
  EXPECT_THAT(ended.out, AllOf(HasSubstr(absl::StrCat("has format ", kOldFormats, ", and this server looks through format ", kOldFormats + 1)),
                               HasSubstr("start this one on a copy")));
  EXPECT_EQ(Read("PRAGMA user_version"), kOldFormats);
}

TEST_F(DoctorTest, AnEmptyFileIsNoStore) {
  server_.Write("empty.db", "");
  const Ended ended = RunAgentd(server_.folder(), {"--doctor", "--store", "empty.db"});
  EXPECT_EQ(ended.exit_code, 74);
  EXPECT_THAT(ended.out, HasSubstr("empty.db: is empty, so there is no store"));
  EXPECT_EQ(std::filesystem::file_size(server_.File("empty.db")), 0u);
}

TEST_F(DoctorTest, ACutFileIsDamage) {
  ASSERT_EQ(Work(1).size(), 1u);
  Stop();
  std::filesystem::resize_file(server_.File(kStore), std::filesystem::file_size(server_.File(kStore)) - 8192);
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_THAT(ended.out, AllOf(HasSubstr("is damaged (it has "), HasSubstr("the file is damaged\n")));
}

TEST_F(DoctorTest, OfTheConfigurationOnlyTheStoreCounts) {
  ASSERT_EQ(Work(1).size(), 1u);
  Stop();
  server_.Write("agentd.yaml", R"(store: {sqlite: {path: data/agentd.db}}
models: [{name: gpt, openai: {base_url: "https://models.example.com/v1", model: m, api_key: {env: AGENTRUNTIME_TEST_NO_SUCH_KEY}}}]
agents: [gone.yaml]
)");
  EXPECT_EQ(RunAgentd(server_.folder(), {"--check-config", "agentd.yaml"}).exit_code, 78);
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(ended.out, "1 run, 0 damaged; the file is whole\n");
}

TEST_F(DoctorTest, AStoreInUseAndNone) {
  Work(1);
  const Ended in_use = Doctor();
  EXPECT_EQ(in_use.exit_code, 75);
  EXPECT_THAT(in_use.out, HasSubstr("in use"));
  Stop();
  const Ended none = RunAgentd(server_.folder(), {"--doctor", "--store", "other.db"});
  EXPECT_EQ(none.exit_code, 74);
  EXPECT_THAT(none.out, HasSubstr("other.db: there is no store"));
  EXPECT_FALSE(std::filesystem::exists(server_.File("other.db")));
}

}  // namespace
}  // namespace agentruntime::testing
