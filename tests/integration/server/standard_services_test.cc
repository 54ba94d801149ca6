// Health, reflection and GetServerInfo.
#include <signal.h>

#include <cinttypes>
#include <cstdio>
#include <fstream>

#include "tests/integration/server/fixture.h"
#include "tests/support/raw_call.h"

namespace agentruntime::testing {
namespace {

class StandardServicesTest : public SharedServer {};

TEST_F(StandardServicesTest, HealthKnowsEachServiceAndTheWhole) {
  const auto channel = server().Connect();
  for (const char* service : {"", "agentruntime.v1.RunService", "agentruntime.v1.AgentService", "agentruntime.v1.AdminService"}) {
    EXPECT_EQ(Health(channel, service), "SERVING") << service;
  }
  EXPECT_EQ(Health(channel, "nobody"), "NOT_FOUND");
}

TEST_F(StandardServicesTest, ReflectionNamesTheServices) {
  // grpc.reflection.v1alpha.ServerReflectionRequest{list_services = "*"}, a stream of one.
  const auto response = RawCall(server().Connect(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", std::string("\x3a\x01*", 3));
  ASSERT_TRUE(response.ok()) << response.status();
  for (const char* service : {"agentruntime.v1.RunService", "agentruntime.v1.AgentService", "agentruntime.v1.AdminService", "grpc.health.v1.Health"}) {
    EXPECT_THAT(*response, ::testing::HasSubstr(service));
  }
}

TEST_F(StandardServicesTest, TheServerSaysWhatItIsAndWhatItTakes) {
  const auto info = Call(stubs().admin, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest());
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->version(), "0.1.0");
  EXPECT_EQ(info->node(), "test-node");
  EXPECT_EQ(info->serving_state(), v1::SERVING_STATE_SERVING);
  EXPECT_EQ(info->store().kind(), "sqlite");
  EXPECT_THAT(info->store().id(), ::testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_GT(info->store().bytes(), 0);
  EXPECT_GT(info->store().free_bytes(), 0);
  EXPECT_EQ(info->default_limits().max_steps(), 25);
  EXPECT_EQ(info->maximum_limits().max_steps(), 10'000);
  EXPECT_EQ(info->published_limits().message_bytes_max(), 4 << 20);
  EXPECT_EQ(info->published_limits().queued_runs_max(), 100'000);
  EXPECT_GT(info->start_time().seconds(), 1'600'000'000);
}

// Resident memory of the server at its highest, in KiB.
int64_t PeakKiB(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(file, line);) {
    int64_t kib = 0;
    if (sscanf(line.c_str(), "VmHWM: %" SCNd64, &kib) == 1) return kib;
  }
  return -1;
}

TEST_F(StandardServicesTest, APackedMessageIsNotInflated) {
  const int64_t before = PeakKiB(server().pid());
  ASSERT_GT(before, 0);
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::CreateRunRequest request = Submit(std::string(256 << 20, 'x'));
  v1::Run run;
  const grpc::Status status = stubs().run->CreateRun(&context, request, &run);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_LT(PeakKiB(server().pid()) - before, 64 << 10) << "it was inflated";
  EXPECT_EQ(Answered(stubs()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

TEST_F(StandardServicesTest, DrainRefusesAnAbsurdGrace) {
  v1::DrainRequest request;
  request.mutable_grace()->set_seconds(-1);
  EXPECT_EQ(Say(Call(stubs().admin, &v1::AdminService::Stub::Drain, request).status()), "INVALID_ARGUMENT INVALID_FIELD: grace: -1s is below 0");
  request.mutable_grace()->set_seconds(3601);
  EXPECT_EQ(Say(Call(stubs().admin, &v1::AdminService::Stub::Drain, request).status()),
            "INVALID_ARGUMENT INVALID_FIELD: grace: 1h1s is above this server's maximum of 1h");
  EXPECT_EQ(Answered(stubs()).state(), v1::RUN_STATE_STOPPED);
}

TEST(DrainingServerTest, RefusesNewRunsAndSaysSo) {
  TestServer server;
  ASSERT_NO_FATAL_FAILURE(server.Start());
  const auto channel = server.Connect();
  const Stubs stubs(channel);
  const auto created = Create(stubs, Submit("hang"));
  ASSERT_TRUE(created.ok()) << created.status();
  // The attempt under way keeps the server there until the grace is over.
  AwaitEvents(stubs, created->name(), 3);
  server.Send(SIGTERM);
  AwaitThat("health has noticed the drain", [&] { return Health(channel, "") != "SERVING"; });
  EXPECT_EQ(Health(channel, ""), "NOT_SERVING");
  EXPECT_EQ(Health(channel, "agentruntime.v1.RunService"), "NOT_SERVING");
  const absl::Status status = Create(stubs, Submit("add")).status();
  EXPECT_EQ(Say(status), "UNAVAILABLE SERVER_DRAINING: the server is about to exit; try again when it is back");
  EXPECT_TRUE(client::DetailsOf(status).retry_delay.has_value());
  const auto info = Call(stubs.admin, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest());
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->serving_state(), v1::SERVING_STATE_DRAINING);
}

}  // namespace
}  // namespace agentruntime::testing
