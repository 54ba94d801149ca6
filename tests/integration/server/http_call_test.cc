// http_call in a real agentd: from the configuration to what the endpoint sees, and what becomes of a call whose outcome nobody knows.
#include "proto/util/time.h"
#include "tests/integration/server/fixture.h"
#include "tests/support/http_server.h"

namespace agentruntime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kToken[] = "t0ken-that-nobody-shows";

class HttpCallServerTest : public ::testing::Test {
 protected:
  HttpCallServerTest() {
    server_.Write("token", absl::StrCat(kToken, "\n"));
    server_.Write("agentd.yaml", absl::StrCat(R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: script, scripted: {file: script.json}}]
agents: [tester.yaml]
tools:
  - name: charge
    timeout: 20s
    http_call:
      url: )",
                                              endpoint_.Url("/charge"), R"(
      description: Charges a customer's card.
      input_schema: '{"type":"object","properties":{"cents":{"type":"integer"}},"required":["cents"],"additionalProperties":false}'
      token: {file: token}
)"));
    server_.Write("tester.yaml", "name: tester\nmodel: script\ntools: [charge]\n");
    server_.Write("script.json", R"({"steps": [{"calls": [{"tool": "charge", "arguments": {"cents": 100}}]}, {"text": ["done"]}]})");
  }

  // A run to its end; its one call.
  v1::ToolCallRecord RunToEnd() {
    server_.Start();
    const Stubs stubs(server_.Connect());
    const v1::Run run = Answered(stubs);
    v1::GetStepRequest get;
    get.set_name(absl::StrCat(run.name(), "/steps/1"));
    const auto step = Call(stubs.run, &v1::RunService::Stub::GetStep, get);
    EXPECT_TRUE(step.ok() && step->tool_calls_size() == 1) << step.status();
    for (const v1::Event& event : Watch(stubs, run.name()).events()) {
      EXPECT_THAT(event.ShortDebugString(), Not(HasSubstr(kToken)));
      if (event.has_call_started()) started_.push_back(event.call_started());
    }
    EXPECT_THAT(server_.Log(), Not(HasSubstr(kToken)));
    return step.ok() ? step->tool_calls(0) : v1::ToolCallRecord();
  }

  int status_ = 200;
  std::string headers_ = "Content-Type: application/json\r\n";
  std::vector<v1::CallStarted> started_;
  HttpServer endpoint_{[this](const ServedRequest& request, HttpServer::Connection& c) {
    c.Answer(status_, absl::StrCat(R"({"charged":true,"by":")", request.headers.at("authorization"), "\"}"), headers_);
  }};
  TestServer server_;
};

TEST_F(HttpCallServerTest, ACallReachesItsEndpointOnce) {
  const v1::ToolCallRecord call = RunToEnd();
  EXPECT_EQ(call.outcome(), v1::CALL_OUTCOME_OK);
  ASSERT_EQ(call.result_size(), 1);
  EXPECT_EQ(call.result(0).json(), R"({"charged":true,"by":"Bearer [token]"})");
  ASSERT_THAT(endpoint_.requests(), SizeIs(1));
  const ServedRequest sent = endpoint_.requests()[0];
  EXPECT_EQ(sent.method, "POST");
  EXPECT_EQ(sent.target, "/charge");
  EXPECT_EQ(sent.body, R"({"cents":100})");
  EXPECT_EQ(sent.headers.at("authorization"), absl::StrCat("Bearer ", kToken));
  ASSERT_THAT(started_, SizeIs(1));
  EXPECT_EQ(started_[0].side_effect(), v1::SIDE_EFFECT_UNSAFE);
  EXPECT_EQ(sent.headers.at("idempotency-key"), started_[0].idempotency_key());
}

TEST_F(HttpCallServerTest, AnOutcomeThatNobodyKnowsIsToldAndNotRepeated) {
  status_ = 500;
  EXPECT_EQ(RunToEnd().outcome(), v1::CALL_OUTCOME_UNCERTAIN);
  EXPECT_THAT(endpoint_.requests(), SizeIs(1));
}

TEST_F(HttpCallServerTest, ATurnedAwayCallIsTriedAgainUnderItsKey) {
  status_ = 429;
  headers_ = "Retry-After: 0\r\n";
  EXPECT_EQ(RunToEnd().outcome(), v1::CALL_OUTCOME_ERROR);
  ASSERT_THAT(endpoint_.requests(), SizeIs(3));
  for (const ServedRequest& request : endpoint_.requests()) {
    EXPECT_EQ(request.headers.at("idempotency-key"), started_.at(0).idempotency_key());
    EXPECT_EQ(request.body, R"({"cents":100})");
  }
}

TEST_F(HttpCallServerTest, ArgumentsThatDoNotFitAreNotSent) {
  server_.Write("script.json", R"({"steps": [{"calls": [{"tool": "charge", "arguments": {"cents": "all"}}]}, {"text": ["done"]}]})");
  const v1::ToolCallRecord call = RunToEnd();
  EXPECT_EQ(call.outcome(), v1::CALL_OUTCOME_ERROR);
  EXPECT_THAT(call.result(0).text(), HasSubstr("invalid arguments: "));
  EXPECT_THAT(endpoint_.requests(), SizeIs(0));
}

TEST_F(HttpCallServerTest, ItIsListed) {
  server_.Start();
  const Stubs stubs(server_.Connect());
  const auto tools = Call(stubs.agent, &v1::AgentService::Stub::ListTools, v1::ListToolsRequest());
  ASSERT_TRUE(tools.ok()) << tools.status();
  ASSERT_EQ(tools->tools_size(), 1);
  const v1::Tool& tool = tools->tools(0);
  EXPECT_EQ(tool.name(), "charge");
  EXPECT_EQ(tool.description(), "Charges a customer's card.");
  EXPECT_THAT(tool.input_schema(), HasSubstr("cents"));
  EXPECT_EQ(tool.side_effect(), v1::SIDE_EFFECT_UNSAFE);
  EXPECT_EQ(FromProto(tool.timeout()), absl::Seconds(20));
  EXPECT_EQ(tool.origin(), endpoint_.Url(""));
  EXPECT_EQ(tool.max_attempts(), 3);
}

TEST_F(HttpCallServerTest, ABadSchemaIsRefusedAtStart) {
  server_.Write("agentd.yaml", R"(tools:
  - name: charge
    http_call: {url: "http://127.0.0.1:9/", description: x, input_schema: '{"type":"objekt"}'}
)");
  const Ended ended = RunAgentd(server_.folder(), {"--config", "agentd.yaml"});
  EXPECT_EQ(ended.exit_code, 78);
  EXPECT_THAT(ended.err, HasSubstr("agentd.yaml:3:75: tools[0].http_call.input_schema: schema"));
}

}  // namespace
}  // namespace agentruntime::testing
