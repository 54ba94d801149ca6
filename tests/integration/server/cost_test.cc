// Money: prices of the configuration, costs of runs, budgets that hold and are raised.
#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

// One server whose model has a price, beside one that has none.
class CostTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server.Write("agentd.yaml", R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
currency_code: EUR
models:
  - {name: script, price: {input_micros: 1_000_000, output_micros: 2_000_000}, scripted: {file: priced.json}}
  - {name: unpriced, scripted: {file: priced.json}}
tools: [{name: calculator, calculator: {}}]
agents: [tester.yaml, unpriced.yaml]
)");
    server.Write("unpriced.yaml", "name: unpriced\nmodel: unpriced\n");
    server.Write("priced.json", R"({"rules": [
      {"input_contains": "loop", "steps": [{"repeat": 1000, "usage": {"input_tokens": 100, "output_tokens": 50},
                                            "calls": [{"tool": "calculator", "arguments": {"expression": "{step}+1"}}]}]},
      {"input_contains": "", "steps": [{"usage": {"input_tokens": 100, "output_tokens": 50}, "text": ["ok"]}]}]})");
    server.Start();
    ASSERT_TRUE(server.running());
    stubs = std::make_unique<Stubs>(server.Connect());
  }
  absl::StatusOr<v1::Run> RunToStop(const v1::CreateRunRequest& request) {
    const auto created = Create(*stubs, request);
    return created.ok() ? AwaitStop(*stubs, created->name()) : created;
  }

  TestServer server;
  std::unique_ptr<Stubs> stubs;
};

TEST_F(CostTest, CostsAreBookedInTheServersCurrency) {
  const auto run = RunToStop(Submit("hello"));
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->usage().cost_micros(), 200);
  const auto info = Call(stubs->admin, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest());
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->currency_code(), "EUR");
  const auto models = Call(stubs->agent, &v1::AgentService::Stub::ListModels, v1::ListModelsRequest());
  ASSERT_TRUE(models.ok()) << models.status();
  EXPECT_EQ(models->models(0).price().output_micros(), 2'000'000);
  EXPECT_FALSE(models->models(1).has_price());
}

TEST_F(CostTest, ABudgetStopsAndSurvivesARestartAndARaiseGoesOn) {
  v1::CreateRunRequest request = Submit("loop");
  request.mutable_run()->mutable_limits()->set_max_cost_micros(1'000);
  auto run = RunToStop(request);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_COST_BUDGET);
  EXPECT_EQ(run->stop().limit().limit(), "max_cost_micros");
  EXPECT_LE(run->usage().cost_micros(), 1'000);
  EXPECT_EQ(run->usage().cost_micros() % 200, 0);
  EXPECT_GT(run->usage().cost_micros(), 0);
  const int64_t spent = run->usage().cost_micros();

  server.Kill();
  server.Start();
  stubs = std::make_unique<Stubs>(server.Connect());
  v1::ListRunsRequest list;
  const auto listed = Call(stubs->run, &v1::RunService::Stub::ListRuns, list);
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(listed->runs(0).usage().cost_micros(), spent) << "out of the store's columns";

  v1::ResumeRunRequest resume;
  resume.set_name(run->name());
  resume.mutable_limits()->set_max_cost_micros(900);
  EXPECT_THAT(Say(Call(stubs->run, &v1::RunService::Stub::ResumeRun, resume).status()), ::testing::StartsWith("FAILED_PRECONDITION LIMIT_NOT_RAISED: "));
  resume.mutable_limits()->set_max_cost_micros(3'000);
  ASSERT_TRUE(Call(stubs->run, &v1::RunService::Stub::ResumeRun, resume).ok());
  run = AwaitStop(*stubs, run->name());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->stop().reason(), v1::STOP_REASON_COST_BUDGET);
  EXPECT_GT(run->usage().cost_micros(), spent);
  EXPECT_LE(run->usage().cost_micros(), 3'000);
}

TEST_F(CostTest, ABudgetThatCannotBeKeptIsRefused) {
  v1::CreateRunRequest request = Submit("hello");
  request.mutable_run()->set_agent("agents/unpriced");
  const auto run = RunToStop(request);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_FALSE(run->usage().has_cost_micros());
  request.mutable_run()->mutable_limits()->set_max_cost_micros(1'000);
  EXPECT_EQ(Say(Create(*stubs, request).status()),
            "FAILED_PRECONDITION AGENT_UNUSABLE: agents/unpriced: limits.max_cost_micros: model \"unpriced\" has no price on this server, so a budget of money "
            "cannot be kept; give models[].price in agentd.yaml, or bound the run by max_tokens");
  request.mutable_run()->mutable_limits()->set_max_cost_micros(0);
  EXPECT_EQ(Say(Create(*stubs, request).status()), "INVALID_ARGUMENT INVALID_FIELD: run.limits.max_cost_micros: 0 is below 1");
}

}  // namespace
}  // namespace agentruntime::testing
