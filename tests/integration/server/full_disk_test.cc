// A full disk under the real server: refusals with a retry time, reads that go on, nothing acknowledged lost, and life when space returns.
//
// The disk is a small tmpfs in a mount namespace of this process, so that neither root nor a free loop device is needed.
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/time/clock.h"
#include "tests/integration/server/fixture.h"
#include "tests/support/mount_namespace.h"

namespace agentruntime::testing {
namespace {

constexpr absl::Duration kConditionMax = absl::Seconds(30);

const ::testing::Environment* const kNamespace = ::testing::AddGlobalTestEnvironment(new MountNamespace);

// Until health says so.
void AwaitServing(const TestServer& server, bool serving) {
  const auto channel = server.Connect();
  const absl::Time until = absl::Now() + kConditionMax;
  while (Health(channel, "") != (serving ? "SERVING" : "NOT_SERVING")) {
    ASSERT_LT(absl::Now(), until) << "health does not turn " << (serving ? "SERVING" : "NOT_SERVING");
    absl::SleepFor(absl::Milliseconds(10));
  }
}

class FullDiskTest : public ::testing::Test {
 protected:
  FullDiskTest() {
    std::filesystem::create_directory(server_.File("data"));
    EXPECT_EQ(mount("tmpfs", server_.File("data").c_str(), "tmpfs", 0, "size=8m"), 0) << strerror(errno);
  }
  ~FullDiskTest() override {
    server_.Kill();
    umount2(server_.File("data").c_str(), MNT_DETACH);
  }

  // A file that leaves `left` bytes.
  void FillBut(int64_t left) const {
    struct statvfs disk = {};
    ASSERT_EQ(statvfs(server_.File("data").c_str(), &disk), 0);
    const int file = open(server_.File("data/ballast").c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_GE(file, 0);
    EXPECT_EQ(posix_fallocate(file, 0, static_cast<int64_t>(disk.f_bavail * disk.f_frsize) - left), 0);
    close(file);
  }
  void Change(const std::string& sql) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(server_.File("data/agentd.db").c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
  }
  // Until the disk takes no byte more.
  void Fill() const {
    const int file = open(server_.File("data/ballast").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    ASSERT_GE(file, 0);
    std::string block(64 << 10, 'x');
    while (!block.empty()) {
      if (write(file, block.data(), block.size()) <= 0) block.resize(block.size() / 2);
    }
    close(file);
  }
  void Free() const { ASSERT_TRUE(std::filesystem::remove(server_.File("data/ballast"))); }

  // Submits one run after the other until one is refused.
  absl::Status SubmitUntilRefused(const Stubs& stubs, std::vector<std::string>& accepted) {
    const absl::Time until = absl::Now() + kConditionMax;
    while (absl::Now() < until) {
      const auto run = Create(stubs, Submit("add", absl::StrCat("job-", accepted.size())));
      if (!run.ok()) return run.status();
      accepted.push_back(run->name());
    }
    return absl::OkStatus();
  }

  TestServer server_;
};

TEST_F(FullDiskTest, WritesWaitReadsGoOnAndNothingIsLost) {
  server_.Start();
  const Stubs stubs(server_.Connect());
  const auto hanging = Create(stubs, Submit("hang"));
  ASSERT_TRUE(hanging.ok()) << hanging.status();
  std::vector<std::string> accepted;
  for (int i = 0; i < 20; ++i) {
    const auto run = Create(stubs, Submit("add", absl::StrCat("job-", accepted.size())));
    ASSERT_TRUE(run.ok()) << run.status();
    accepted.push_back(run->name());
  }
  Fill();
  const absl::Status refused = SubmitUntilRefused(stubs, accepted);
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
  const client::ErrorDetails details = client::DetailsOf(refused);
  EXPECT_EQ(details.reason, "STORE_UNAVAILABLE");
  EXPECT_GT(details.retry_delay.value_or(absl::ZeroDuration()), absl::ZeroDuration());
  AwaitServing(server_, false);

  // Reads, and a cancel: its work is aborted at once, the acknowledgement waits for space.
  for (const std::string& name : {accepted.front(), hanging->name()}) {
    v1::GetRunRequest get;
    get.set_name(name);
    EXPECT_TRUE(Call(stubs.run, &v1::RunService::Stub::GetRun, get).ok());
  }
  EXPECT_TRUE(Call(stubs.run, &v1::RunService::Stub::ListRuns, v1::ListRunsRequest()).ok());
  v1::CancelRunRequest cancel;
  cancel.set_name(hanging->name());
  const auto cancelled = Call(stubs.run, &v1::RunService::Stub::CancelRun, cancel);
  EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kUnavailable) << cancelled.status();

  Free();
  AwaitServing(server_, true);
  const auto stopped = AwaitStop(stubs, hanging->name());
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->stop().reason(), v1::STOP_REASON_CANCELLED);
  // The refused submit, repeated with its key, is one run.
  const auto repeated = Create(stubs, Submit("add", absl::StrCat("job-", accepted.size())));
  ASSERT_TRUE(repeated.ok()) << repeated.status();
  accepted.push_back(repeated->name());
  for (const std::string& name : accepted) {
    const auto run = AwaitStop(stubs, name);
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << name;
  }
}

// A server that was killed while it kept a large result leaves pieces of it, which the next one removes from its first moment on: with a few pages free it
// can start, and that is what it cannot write.
TEST_F(FullDiskTest, AStartOnAFullDiskSaysSo) {
  server_.Start();
  {
    const Stubs stubs(server_.Connect());
    Answered(stubs);
  }
  server_.Send(SIGTERM);
  ASSERT_EQ(server_.WaitForEnd(), 0);
  std::string pieces = "INSERT INTO unnamed_artifacts SELECT run, 1, (SELECT epoch FROM server), 0 FROM runs WHERE id = 1;";
  for (int i = 0; i < 16; ++i) {
    absl::StrAppend(&pieces, "INSERT INTO artifact_chunks (run, number, epoch, chunk, data, crc) SELECT run, 1, (SELECT epoch FROM server), ", i,
                    ", zeroblob(150000), 0 FROM runs WHERE id = 1;");
  }
  Change(pieces);
  server_.Write("agentd.yaml", R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: script, scripted: {file: script.json}}]
tools: [{name: calculator, calculator: {}}]
)");  // no agents: one that changed could not be applied
  FillBut(112 << 10);
  server_.Start();
  ASSERT_TRUE(server_.running());
  AwaitServing(server_, false);
  const Stubs stubs(server_.Connect());
  const auto refused = Create(stubs, Submit("add"));
  EXPECT_EQ(client::DetailsOf(refused.status()).reason, "STORE_UNAVAILABLE") << refused.status();

  Free();
  AwaitServing(server_, true);
  Answered(stubs);
}

TEST_F(FullDiskTest, ADrainEndsWithinItsGrace) {
  server_.Start();
  std::vector<std::string> accepted;
  {
    const Stubs stubs(server_.Connect());
    const auto hanging = Create(stubs, Submit("hang"));
    ASSERT_TRUE(hanging.ok()) << hanging.status();
    accepted.push_back(hanging->name());
    Fill();
    EXPECT_FALSE(SubmitUntilRefused(stubs, accepted).ok());
    v1::CancelRunRequest cancel;  // recorded, and not durable before there is space
    cancel.set_name(hanging->name());
    EXPECT_FALSE(Call(stubs.run, &v1::RunService::Stub::CancelRun, cancel).ok());
  }
  server_.Send(SIGTERM);
  EXPECT_EQ(server_.WaitForEnd(), 0) << server_.Log();
  Free();
  server_.Start();
  const Stubs stubs(server_.Connect());
  for (size_t i = 1; i < accepted.size(); ++i) EXPECT_TRUE(AwaitStop(stubs, accepted[i]).ok());
  v1::GetRunRequest get;
  get.set_name(accepted[0]);
  EXPECT_TRUE(Call(stubs.run, &v1::RunService::Stub::GetRun, get).ok());
}

TEST_F(FullDiskTest, KilledWhileFullItComesBackWhole) {
  server_.Start();
  std::vector<std::string> accepted;
  {
    const Stubs stubs(server_.Connect());
    for (int i = 0; i < 20; ++i) {
      const auto run = Create(stubs, Submit("add", absl::StrCat("job-", accepted.size())));
      ASSERT_TRUE(run.ok()) << run.status();
      accepted.push_back(run->name());
    }
    Fill();
    EXPECT_FALSE(SubmitUntilRefused(stubs, accepted).ok());
  }
  server_.Kill();
  Free();
  server_.Start();
  const Stubs stubs(server_.Connect());
  for (const std::string& name : accepted) {
    const auto run = AwaitStop(stubs, name);
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << name;
  }
}

}  // namespace
}  // namespace agentruntime::testing
