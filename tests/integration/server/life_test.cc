// Start, refusals to start, drain, kill and restart of the real program.
#include <signal.h>

#include <filesystem>
#include <thread>

#include "absl/time/clock.h"
#include "proto/util/time.h"
#include "tests/integration/server/fixture.h"
#include "tests/support/program.h"

namespace agentruntime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The runs of the test that a started server lists.
v1::Run Get(const Stubs& stubs, const std::string& name) {
  v1::GetRunRequest request;
  request.set_name(name);
  const auto run = Call(stubs.run, &v1::RunService::Stub::GetRun, request);
  EXPECT_TRUE(run.ok()) << run.status();
  return run.ok() ? *run : v1::Run();
}

// A run that asks its model and gets no answer for half an hour; its name.
std::string CreateHanging(const Stubs& stubs) {
  const auto created = Create(stubs, Submit("hang"));
  EXPECT_TRUE(created.ok()) << created.status();
  if (!created.ok()) return "";
  AwaitEvents(stubs, created->name(), 3);
  return created->name();
}

absl::Status Drain(const Stubs& stubs, absl::Duration grace) {
  v1::DrainRequest request;
  *request.mutable_grace() = ToProto(grace);
  return Call(stubs.admin, &v1::AdminService::Stub::Drain, request).status();
}

TEST(LifeTest, VersionAndUsage) {
  const TempDir dir;
  const Ended version = RunAgentd(dir.path(), {"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, StartsWith("agentd 0.1.0 ("));
  const Ended usage = RunAgentd(dir.path(), {"--confg", "x"});
  EXPECT_EQ(usage.exit_code, 64);
  EXPECT_EQ(usage.err, "agentd: there is no argument --confg; did you mean --config?\n");
}

TEST(LifeTest, ABadConfigurationIsRefusedWithItsPlace) {
  const TestServer server("drain_grcae: 3s\n");
  const Ended ended = RunAgentd(server.folder(), {"--config", "agentd.yaml"});
  EXPECT_EQ(ended.exit_code, 78);
  EXPECT_THAT(ended.err, HasSubstr("agentd.yaml:9:1: "));
  EXPECT_THAT(ended.err, HasSubstr("did you mean \"drain_grace\"?"));
  EXPECT_EQ(RunAgentd(server.folder(), {"--config", "gone.yaml"}).exit_code, 78);
}

TEST(LifeTest, AnAddressThatIsNotLoopbackIsRefused) {
  const TestServer server;
  const Ended ended = RunAgentd(server.folder(), {"--config", "agentd.yaml", "--listen", "0.0.0.0:7070"});
  EXPECT_EQ(ended.exit_code, 78);
  EXPECT_THAT(ended.err, HasSubstr("\"0.0.0.0:7070\" is not a loopback address. TLS and authentication do not exist yet"));
  EXPECT_FALSE(std::filesystem::exists(server.File("data")));
}

TEST(LifeTest, CheckConfigPrintsWhatHoldsAndTouchesNothing) {
  const TestServer server;
  const Ended ended = RunAgentd(server.folder(), {"--check-config", "agentd.yaml"});
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("max_steps: 25\n"));
  EXPECT_FALSE(std::filesystem::exists(server.File("data")));
}

TEST(LifeTest, CheckConfigRefusesWhatStartRefuses) {
  const TestServer server;
  server.Write("script.json", "{\"rules\": [{\"steps\": 7}]}");
  const Ended start = RunAgentd(server.folder(), {"--config", "agentd.yaml"});
  EXPECT_EQ(start.exit_code, 78);
  EXPECT_THAT(start.err, HasSubstr("script.json"));
  const Ended check = RunAgentd(server.folder(), {"--check-config", "agentd.yaml"});
  EXPECT_EQ(check.exit_code, 78);
  EXPECT_EQ(check.err, start.err);
  EXPECT_EQ(check.out, "");
}

TEST(LifeTest, RequestsThatNeverFitAreRefusedBeforeTheStoreIsOpened) {
  const TestServer server;
  server.Write("agentd.yaml", R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: gpt, openai: {base_url: "http://127.0.0.1:9/v1", model: m, connections_max: 10000}}]
)");
  for (const char* argument : {"--check-config", "--config"}) {
    // Of a child alone: who lowers the limit cannot raise it again.
    Program agentd("/bin/sh", {"-c", absl::StrCat("cd ", server.folder(), " && ulimit -n 4096 && exec ", AGENTD, " ", argument, " agentd.yaml")});
    EXPECT_EQ(agentd.Wait(), 78) << argument;
    EXPECT_THAT(agentd.err(), HasSubstr("models[0].openai.connections_max: 10000 requests at once do not fit")) << argument;
    EXPECT_EQ(agentd.out(), "") << argument;
    EXPECT_FALSE(std::filesystem::exists(server.File("data"))) << argument;
  }
}

TEST(LifeTest, APortFileThatCannotBeWrittenIsRefusedBeforeAnythingElse) {
  const TestServer server;
  const Ended ended = RunAgentd(server.folder(), {"--config", "agentd.yaml", "--port-file", "nowhere/port"});
  EXPECT_EQ(ended.exit_code, 78);
  EXPECT_EQ(ended.err, "agentd: --port-file: nowhere/port cannot be written: No such file or directory; name a file in a folder that agentd may write\n");
  EXPECT_FALSE(std::filesystem::exists(server.File("data")));
}

TEST(LifeTest, APortFileThatIsAFolderIsRefused) {
  const TestServer server;
  std::filesystem::create_directories(server.File("port"));
  const Ended ended = RunAgentd(server.folder(), {"--config", "agentd.yaml", "--port-file", "port"});
  EXPECT_EQ(ended.exit_code, 78);
  EXPECT_THAT(ended.err, HasSubstr("agentd: --port-file: port cannot be written: Is a directory"));
}

TEST(LifeTest, APortOrStoreInUseIsNamed) {
  TestServer first;
  ASSERT_NO_FATAL_FAILURE(first.Start());
  const TestServer second;
  const Ended port = RunAgentd(second.folder(), {"--config", "agentd.yaml", "--listen", first.address()});
  EXPECT_EQ(port.exit_code, 75);
  EXPECT_THAT(port.err, HasSubstr("another process listens on " + first.address()));
  EXPECT_FALSE(std::filesystem::exists(second.File("data")));
  const Ended store = RunAgentd(second.folder(), {"--config", "agentd.yaml", "--store", first.File("data/agentd.db")});
  EXPECT_EQ(store.exit_code, 75) << store.err;
  EXPECT_THAT(store.err, HasSubstr("data/agentd.db"));
  EXPECT_EQ(Answered(Stubs(first.Connect())).state(), v1::RUN_STATE_STOPPED);
}

TEST(LifeTest, AFileThatIsNoStoreIsLeftAlone) {
  const TestServer server;
  std::filesystem::create_directories(server.File("data"));
  const std::string text = "precious notes, longer than a header of a database would be, so that nobody can take it for an empty file; twice as long, even.";
  server.Write("data/agentd.db", text);
  const Ended ended = RunAgentd(server.folder(), {"--config", "agentd.yaml"});
  EXPECT_EQ(ended.exit_code, 74);
  EXPECT_THAT(ended.err, HasSubstr("data/agentd.db"));
  EXPECT_EQ(std::filesystem::file_size(server.File("data/agentd.db")), text.size());
}

TEST(LifeTest, DrainTellsWatchersParksRunsAndTheNextStartTakesThemUp) {
  TestServer server;
  ASSERT_NO_FATAL_FAILURE(server.Start());
  std::string name;
  Watched watched;
  {
    const Stubs stubs(server.Connect());
    const auto created = Create(stubs, Submit("long"));
    ASSERT_TRUE(created.ok()) << created.status();
    name = created->name();
    AwaitEvents(stubs, name, 8);
    std::thread watcher([&] { watched = Watch(stubs, name); });
    AwaitEvents(stubs, name, 12);
    server.Send(SIGTERM);
    EXPECT_EQ(server.WaitForEnd(), 0);
    watcher.join();
  }
  EXPECT_EQ(watched.status.code(), absl::StatusCode::kUnavailable);
  const auto details = client::DetailsOf(watched.status);
  EXPECT_EQ(details.reason, "SERVER_DRAINING");
  ASSERT_FALSE(watched.events().empty());
  EXPECT_EQ(details.metadata.at("last_sequence"), absl::StrCat(watched.events().back().sequence()));
  EXPECT_FALSE(watched.events().back().has_run_stopped());

  ASSERT_NO_FATAL_FAILURE(server.Start());
  const Stubs stubs(server.Connect());
  const auto stopped = AwaitStop(stubs, name);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(stopped->usage().steps(), 21);
  // What the first life showed is what the journal holds: nothing repeated, nothing missed.
  std::vector<v1::Event> all = watched.events();
  for (const v1::Event& event : Watch(stubs, name, all.back().sequence()).events()) all.push_back(event);
  const std::vector<v1::Event> journal = Watch(stubs, name).events();
  ASSERT_EQ(all.size(), journal.size());
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].SerializeAsString(), journal[i].SerializeAsString());
}

TEST(LifeTest, ADrainDoesNotWaitLongerThanItsGrace) {
  TestServer server;
  ASSERT_NO_FATAL_FAILURE(server.Start());
  const Stubs stubs(server.Connect());
  const std::string name = CreateHanging(stubs);
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(Drain(stubs, absl::Milliseconds(200)).ok());
  EXPECT_EQ(server.WaitForEnd(), 0);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(30));  // the run would hang for half an hour
  ASSERT_NO_FATAL_FAILURE(server.Start());
  EXPECT_EQ(Get(Stubs(server.Connect()), name).state(), v1::RUN_STATE_RUNNING);
}

TEST(LifeTest, ASignalShortensADrainThatWasAskedToTakeLong) {
  TestServer server;  // its drain_grace is 5 s
  ASSERT_NO_FATAL_FAILURE(server.Start());
  const Stubs stubs(server.Connect());
  CreateHanging(stubs);
  ASSERT_TRUE(Drain(stubs, absl::Hours(1)).ok());
  ASSERT_TRUE(server.WaitForLog("message=\"draining\""));
  server.Send(SIGTERM);
  EXPECT_EQ(server.WaitForEnd(), 0);  // it waits 60 s at most
}

TEST(LifeTest, AWaitingGetDoesNotHoldUpADrain) {
  TestServer server;
  ASSERT_NO_FATAL_FAILURE(server.Start());
  const Stubs stubs(server.Connect());
  const std::string name = CreateHanging(stubs);
  std::thread waiter([&] { AwaitStop(stubs, name).IgnoreError(); });
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(Drain(stubs, absl::Milliseconds(1)).ok());
  EXPECT_EQ(server.WaitForEnd(), 0);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(25));  // its wait is 30 s
  waiter.join();
}

TEST(LifeTest, ASecondSignalEndsAtOnceAndLosesNothing) {
  TestServer server;
  ASSERT_NO_FATAL_FAILURE(server.Start());
  const std::string name = CreateHanging(Stubs(server.Connect()));
  server.Send(SIGINT);
  ASSERT_TRUE(server.WaitForLog("message=\"draining\""));
  server.Send(SIGTERM);
  EXPECT_EQ(server.WaitForEnd(), 128 + SIGTERM);
  ASSERT_NO_FATAL_FAILURE(server.Start());
  EXPECT_EQ(Get(Stubs(server.Connect()), name).name(), name);
}

TEST(LifeTest, AKilledServerGoesOnByItself) {
  TestServer server;
  ASSERT_NO_FATAL_FAILURE(server.Start());
  std::string name;
  {
    const Stubs stubs(server.Connect());
    const auto created = Create(stubs, Submit("long"));
    ASSERT_TRUE(created.ok()) << created.status();
    name = created->name();
    AwaitEvents(stubs, name, 20);
  }
  server.Kill();
  ASSERT_NO_FATAL_FAILURE(server.Start());
  const Stubs stubs(server.Connect());
  const auto stopped = AwaitStop(stubs, name);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  int decisions = 0;
  int finished = 0;
  bool recovered = false;
  for (const v1::Event& event : Watch(stubs, name).events()) {
    decisions += event.has_decision_made() ? 1 : 0;
    finished += event.has_call_finished() ? 1 : 0;
    recovered |= event.run_started().cause() == v1::START_CAUSE_RECOVERED;
  }
  EXPECT_EQ(decisions, 21);
  EXPECT_EQ(finished, 20);
  EXPECT_TRUE(recovered);
}

TEST(LifeTest, TheLogHasOneLineOfItsStart) {
  TestServer server("log: {format: json}\n");
  ASSERT_NO_FATAL_FAILURE(server.Start());
  EXPECT_TRUE(server.WaitForLog("\"message\":\"listening\",\"address\":\"" + server.address() + "\"")) << server.Log();
}

}  // namespace
}  // namespace agentruntime::testing
