// A run of a real server that reads more than the model's window holds.
#include <filesystem>

#include "proto/util/limits.h"
#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

class CompactionRunTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(server.File("docs"));
    server.Write("docs/a.md", absl::StrCat("# A\n\n", std::string(3'000, 'y'), "\n"));
    server.Write("agentd.yaml", R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: script, scripted: {file: script.json}}]
tools: [{name: read_doc, read_doc: {folder: docs}}]
agents: [tester.yaml]
)");
    server.Write("tester.yaml",
                 absl::StrCat("name: tester\nmodel: script\ntools: [read_doc]\nlimits: {max_steps: 100, max_repeats: 100}\ncompaction: ", GetParam(), "\n"));
    server.Write("script.json", R"({"context_tokens": 8192, "rules": [{"input_contains": "", "steps": [
      {"repeat": 30, "usage": {"input_tokens": 10, "output_tokens": 5}, "calls": [{"tool": "read_doc", "arguments": {"path": "a.md"}}]},
      {"text": ["done"]}]}]})");
    server.Start();
    ASSERT_TRUE(server.running());
  }
  TestServer server;
};

TEST_P(CompactionRunTest, ALongRunAnswers) {
  const Stubs stubs(server.Connect());
  const auto created = Create(stubs, Submit("read"));
  ASSERT_TRUE(created.ok()) << created.status();
  const auto run = AwaitStop(stubs, created->name());
  ASSERT_TRUE(run.ok()) << run.status();
  const Watched watched = Watch(stubs, run->name(), 0, /*deltas=*/true);
  int compactions = 0;
  for (const v1::Event& event : watched.events()) compactions += event.has_context_compacted() ? 1 : 0;
  if (GetParam() == std::string("NONE")) {
    EXPECT_EQ(run->stop().error().reason(), "CONTEXT_TOO_LARGE") << "the same work does not fit without";
    EXPECT_EQ(compactions, 0);
    return;
  }
  EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << run->stop().detail();
  EXPECT_EQ(run->usage().steps(), 31);
  EXPECT_GT(compactions, 3);
  EXPECT_LT(compactions, 31);
  v1::GetStepRequest step;
  step.set_name(absl::StrCat(run->name(), "/steps/1"));
  const auto first = Call(stubs.run, &v1::RunService::Stub::GetStep, step);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_GT(first->tool_calls(0).result(0).ByteSizeLong(), 3'000u) << "the journal keeps everything";
}

INSTANTIATE_TEST_SUITE_P(Strategies, CompactionRunTest, ::testing::Values("CLEAR_RESULTS", "SUMMARIZE", "NONE"),
                         [](const auto& strategy) { return std::string(strategy.param); });

}  // namespace
}  // namespace agentruntime::testing
