// agentd --doctor over stores that real servers wrote: whole, damaged, in use, and none.
#include <sqlite3.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/integration/server/fixture.h"

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
  Ended Doctor() const { return RunAgentd(server_.folder(), {"--doctor", "--config", "agentd.yaml"}); }

  static constexpr char kStore[] = "data/agentd.db";
  TestServer server_;
};

TEST_F(DoctorTest, AStoreThatIsWhole) {
  ASSERT_EQ(Work(2).size(), 2u);
  Stop();
  const Ended ended = Doctor();
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(ended.out, "2 runs, 0 damaged; the file is whole\n");
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
