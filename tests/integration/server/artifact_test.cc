// Large results through a real agentd: kept with the event that names them, read by pieces, by agentctl and by the model, and there again after a kill.
#include "tests/integration/server/fixture.h"
#include "tests/support/http_server.h"
#include "tests/support/program.h"

namespace agentruntime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kBytes = 900'000;

std::string Body() {
  std::string body;
  for (int i = 0; body.size() < kBytes; ++i) absl::StrAppend(&body, "line ", i, "\n");
  body.resize(kBytes);
  return body;
}

class ArtifactTest : public ::testing::Test {
 protected:
  ArtifactTest() {
    server_.Write("agentd.yaml", absl::StrCat(R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: script, scripted: {file: script.json}}]
agents: [tester.yaml]
tools:
  - {name: export, http_call: {url: ")",
                                              endpoint_.Url("/export"), R"(", description: Exports everything., side_effect: READ_ONLY}}
  - {name: more, read_artifact: {}}
)"));
    server_.Write("tester.yaml", "name: tester\nmodel: script\ntools: [export, more]\n");
    server_.Write("script.json", R"({"steps": [{"calls": [{"tool": "export", "arguments": {}}]},
                                               {"calls": [{"tool": "more", "arguments": {"artifact": 1, "offset": 899990}}]},
                                               {"text": ["{last_result}"]}]})");
    server_.Start();
  }
  absl::StatusOr<v1::ReadArtifactResponse> Read(const std::string& name, int64_t offset = 0, int32_t max_bytes = 0) {
    const Stubs stubs(server_.Connect());
    v1::ReadArtifactRequest request;
    request.set_name(name);
    request.set_offset(offset);
    request.set_max_bytes(max_bytes);
    return Call(stubs.run, &v1::RunService::Stub::ReadArtifact, request);
  }
  std::string Agentctl(const std::vector<std::string>& arguments) {
    Program program(AGENTCTL, arguments, {.variables = {{"AGENTRUNTIME_SERVER", server_.address()}}});
    EXPECT_EQ(program.Wait(), 0) << program.err();
    return program.out();
  }

  HttpServer endpoint_{[](const ServedRequest&, HttpServer::Connection& c) { c.Answer(200, Body(), "Content-Type: text/plain\r\n"); }};
  TestServer server_;
};

TEST_F(ArtifactTest, ALargeResultIsReadByEveryoneWhoMay) {
  const Stubs stubs(server_.Connect());
  const v1::Run run = Answered(stubs);
  const std::string name = run.name() + "/artifacts/1";
  EXPECT_THAT(run.answer(0).text(), StartsWith(absl::StrCat("[bytes 899990 to 900000 of 900000 of ", name, "; that is its end]\n")));

  v1::GetStepRequest get;
  get.set_name(run.name() + "/steps/1");
  const auto step = Call(stubs.run, &v1::RunService::Stub::GetStep, get);
  ASSERT_TRUE(step.ok()) << step.status();
  const v1::Artifact artifact = step->tool_calls(0).result(0).artifact();
  EXPECT_EQ(artifact.name(), name);
  EXPECT_EQ(artifact.bytes(), kBytes);
  EXPECT_EQ(artifact.media_type(), "text/plain");
  EXPECT_EQ(artifact.excerpt(), Body().substr(0, artifact.excerpt().size()));

  const auto whole = Read(name);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_TRUE(whole->data() == Body());
  EXPECT_EQ(whole->next_offset(), 0);
  const auto piece = Read(name, 262'140, 10);
  ASSERT_TRUE(piece.ok()) << piece.status();
  EXPECT_EQ(piece->data(), Body().substr(262'140, 10));
  EXPECT_EQ(piece->next_offset(), 262'150);
  EXPECT_EQ(piece->total_bytes(), kBytes);

  EXPECT_TRUE(Agentctl({"artifact", name}) == Body());
  EXPECT_THAT(Agentctl({"steps", run.name()}), HasSubstr(absl::StrCat("[900,000 bytes: agentctl artifact ", name, "]")));
  EXPECT_THAT(Agentctl({"events", run.name()}), HasSubstr(absl::StrCat("[900,000 bytes: agentctl artifact ", name, "]")));
}

TEST_F(ArtifactTest, BadRequestsAreRefusedByTheirFields) {
  const Stubs stubs(server_.Connect());
  const v1::Run run = Answered(stubs);
  const std::string name = run.name() + "/artifacts/1";
  EXPECT_THAT(Say(Read("runs/x").status()), StartsWith("INVALID_ARGUMENT INVALID_FIELD: name: is not the name of an artifact"));
  EXPECT_THAT(Say(Read(name, -1).status()), StartsWith("INVALID_ARGUMENT INVALID_FIELD: offset: -1 is negative"));
  EXPECT_THAT(Say(Read(name, 0, 2'000'000).status()), StartsWith("INVALID_ARGUMENT INVALID_FIELD: max_bytes: 2000000 is not in 0 to 1048576"));
  EXPECT_THAT(Say(Read(name, kBytes + 1).status()), StartsWith("OUT_OF_RANGE INVALID_FIELD: offset: 900001 lies beyond the end"));
  EXPECT_THAT(Say(Read(run.name() + "/artifacts/2").status()), StartsWith("NOT_FOUND ARTIFACT_NOT_FOUND: "));
  EXPECT_THAT(Say(Read(absl::StrCat(kNoRun, "/artifacts/1")).status()), StartsWith("NOT_FOUND RUN_NOT_FOUND: "));
}

TEST_F(ArtifactTest, ItIsThereAfterAKillAndGoesWithItsRun) {
  std::string name;
  {
    const Stubs stubs(server_.Connect());
    name = Answered(stubs).name();
  }
  server_.Kill();
  server_.Start();
  const auto whole = Read(name + "/artifacts/1");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_TRUE(whole->data() == Body());
  const Stubs stubs(server_.Connect());
  v1::DeleteRunRequest remove;
  remove.set_name(name);
  ASSERT_TRUE(Call(stubs.run, &v1::RunService::Stub::DeleteRun, remove).ok());
  EXPECT_THAT(Say(Read(name + "/artifacts/1").status()), StartsWith("NOT_FOUND RUN_NOT_FOUND: "));
}

TEST_F(ArtifactTest, BoundsArePublished) {
  const Stubs stubs(server_.Connect());
  const auto info = Call(stubs.admin, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest());
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->published_limits().result_bytes_max(), 64 << 10);
  EXPECT_EQ(info->published_limits().artifact_bytes_max(), 16 << 20);
  EXPECT_EQ(info->published_limits().run_artifact_bytes_max(), 256 << 20);
  EXPECT_EQ(info->published_limits().artifact_read_bytes_max(), 1 << 20);
}

}  // namespace
}  // namespace agentruntime::testing
