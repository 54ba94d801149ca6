#include "server/rpc/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "server/rpc/json_text.h"

namespace agentruntime::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::Run GoodRun() {
  v1::Run run;
  run.set_agent("agents/a");
  run.add_input()->set_text("hello");
  return run;
}

v1::Agent GoodAgent() {
  v1::Agent agent;
  agent.set_name("agents/a");
  agent.set_model("m");
  return agent;
}

std::vector<std::string> Lines(const FieldChecks& checks) {
  std::vector<std::string> lines;
  for (const FieldViolation& violation : checks.violations()) lines.push_back(violation.field + ": " + violation.description);
  return lines;
}

std::vector<std::string> CheckRun(const v1::Run& run) {
  FieldChecks checks;
  CheckNewRun(checks, "run", run);
  return Lines(checks);
}

std::vector<std::string> CheckAgent(const v1::Agent& agent) {
  FieldChecks checks;
  CheckAgent(checks, "agent", agent);
  return Lines(checks);
}

TEST(ValidateTest, AGoodRunPasses) {
  v1::Run run = GoodRun();
  run.add_input()->set_json("{\"a\": [1, 2.50, null]}");
  (*run.mutable_labels())["team/x.y_z-1"] = "";
  run.mutable_limits()->set_max_tool_calls(0);
  run.mutable_limits()->set_max_steps(100);
  run.set_agent("agents/a/revisions/3");
  EXPECT_THAT(CheckRun(run), IsEmpty());
}

TEST(ValidateTest, EveryWrongFieldIsNamedAtOnce) {
  v1::Run run;
  run.set_agent("a");
  run.mutable_limits()->set_max_steps(0);
  run.mutable_limits()->set_max_tool_calls(-1);
  run.mutable_limits()->set_max_tokens(0);
  run.mutable_limits()->set_max_cost_micros(0);
  run.mutable_limits()->set_max_repeats(1);
  *run.mutable_limits()->mutable_timeout() = ToProto(absl::Microseconds(999));
  run.set_name("runs/x");
  run.set_state(v1::RUN_STATE_STOPPED);
  (*run.mutable_labels())["Bad"] = "x";
  (*run.mutable_labels())["good"] = std::string(257, 'x');
  EXPECT_THAT(CheckRun(run),
              ElementsAre("run.name: is set by the server; leave it out", "run.state: is set by the server; leave it out",
                          "run.agent: is not the name of an agent, agents/{agent} or agents/{agent}/revisions/{revision}; take it from ListAgents",
                          "run.input: give at least one text", "run.limits.max_steps: 0 is below 1", "run.limits.max_tool_calls: -1 is below 0",
                          "run.limits.max_tokens: 0 is below 1", "run.limits.max_cost_micros: 0 is below 1", "run.limits.max_repeats: 1 is below 2",
                          "run.limits.timeout: 999us is below 1ms", "run.labels: key \"Bad\" is not 1-63 characters of [a-z0-9_.-/] that begin with a letter",
                          "run.labels.good: 257 bytes are too many; at most 256"));
}

TEST(ValidateTest, PrioritiesAndStartTimesAreBounded) {
  v1::Run run;
  run.set_agent("agents/a");
  run.add_input()->set_text("x");
  for (const int32_t priority : {-10, 0, 10}) {
    run.set_priority(priority);
    EXPECT_THAT(CheckRun(run), IsEmpty());
  }
  run.set_priority(-11);
  run.mutable_not_before_time()->set_seconds(2'000'000'000);
  run.mutable_deadline()->set_seconds(2'000'000'000);
  EXPECT_THAT(CheckRun(run), ElementsAre("run.priority: -11 is not in -10 to 10",
                                         "run.deadline: does not lie behind not_before_time, so the run could never begin; give a later one"));
  run.set_priority(0);
  run.mutable_deadline()->set_seconds(2'000'000'001);
  EXPECT_THAT(CheckRun(run), IsEmpty());
}

TEST(ValidateTest, AnInputThatSaysNothingIsEmpty) {
  v1::Run run;
  run.set_agent("agents/a");
  EXPECT_THAT(CheckRun(run), ElementsAre("run.input: give at least one text"));
  run.add_input()->set_text(" \n\t");
  EXPECT_THAT(CheckRun(run), ElementsAre("run.input: give at least one text"));
  run.add_input()->set_text("x");
  EXPECT_THAT(CheckRun(run), ElementsAre("run.input[0].text: is empty; give a text or leave the part out"));
  run = GoodRun();
  run.add_input();
  EXPECT_THAT(CheckRun(run), ElementsAre("run.input[1]: is empty; give text or json"));
}

TEST(ValidateTest, InputIsBounded) {
  v1::Run run = GoodRun();
  for (int i = 0; i < kInputPartsMax; ++i) run.add_input()->set_text("x");
  EXPECT_THAT(CheckRun(run), ElementsAre("run.input: 65 parts are too many; at most 64"));
  run = GoodRun();
  run.mutable_input(0)->set_text(std::string(kInputBytesMax, 'x'));
  EXPECT_THAT(CheckRun(run), ElementsAre("run.input: 262148 bytes are too many; at most 262144"));
}

TEST(ValidateTest, ADurationMustBeOne) {
  v1::Run run = GoodRun();
  run.mutable_limits()->mutable_timeout()->set_seconds(1);
  run.mutable_limits()->mutable_timeout()->set_nanos(-1);
  EXPECT_THAT(CheckRun(run), ElementsAre("run.limits.timeout: is not a valid duration: seconds and nanos must be in range and of one sign"));
  run.mutable_limits()->mutable_timeout()->set_seconds(INT64_MAX);
  run.mutable_limits()->mutable_timeout()->set_nanos(0);
  EXPECT_THAT(CheckRun(run), ElementsAre("run.limits.timeout: is not a valid duration: seconds and nanos must be in range and of one sign"));
  run.mutable_limits()->mutable_timeout()->set_seconds(-1);
  EXPECT_THAT(CheckRun(run), ElementsAre("run.limits.timeout: -1s is below 1ms"));
}

TEST(ValidateTest, RequestIds) {
  for (const auto& [id, good] : std::vector<std::pair<std::string, bool>>{
           {"", true}, {"job 7/a", true}, {std::string(128, 'x'), true}, {std::string(129, 'x'), false}, {"a\nb", false}, {"\xc3\xa9", false}}) {
    FieldChecks checks;
    CheckRequestId(checks, "request_id", id);
    EXPECT_EQ(checks.ok(), good) << id;
  }
}

TEST(ValidateTest, PageSizes) {
  FieldChecks checks;
  EXPECT_EQ(CheckPageSize(checks, 0), kPageSizeDefault);
  EXPECT_EQ(CheckPageSize(checks, 1), 1);
  EXPECT_EQ(CheckPageSize(checks, kPageSizeMax), kPageSizeMax);
  EXPECT_TRUE(checks.ok());
  CheckPageSize(checks, -1);
  CheckPageSize(checks, kPageSizeMax + 1);
  EXPECT_THAT(Lines(checks), ElementsAre("page_size: -1 is below 0", "page_size: 1001 is above this server's maximum of 1000"));
}

TEST(ValidateTest, AGoodAgentPasses) {
  v1::Agent agent = GoodAgent();
  agent.add_tools("search_docs");
  agent.add_approve_tools("search_docs");
  agent.mutable_model_settings()->set_temperature(2);
  agent.mutable_model_settings()->set_max_output_tokens(1);
  agent.set_etag("x");
  EXPECT_THAT(CheckAgent(agent), IsEmpty());
}

TEST(ValidateTest, EveryWrongFieldOfAnAgentIsNamed) {
  v1::Agent agent;
  agent.set_name("agents/A");
  agent.set_revision("agents/a/revisions/1");
  agent.set_description(std::string(kDescriptionBytesMax + 1, 'x'));
  agent.set_instructions(std::string(kInstructionsBytesMax + 1, 'x'));
  agent.add_tools("a b");
  agent.add_tools("t");
  agent.add_tools("t");
  agent.mutable_model_settings()->set_temperature(-0.5);
  agent.mutable_model_settings()->set_max_output_tokens(0);
  agent.set_on_uncertain_call(static_cast<v1::UncertainCallAction>(9));
  agent.set_compaction(static_cast<v1::CompactionStrategy>(9));
  EXPECT_THAT(
      CheckAgent(agent),
      ElementsAre("agent.revision: is set by the server; leave it out",
                  "agent.name: is not agents/{agent} with 1-63 characters of [a-z0-9-] that begin with a letter and do not end with \"-\"",
                  "agent.description: 1025 bytes are too many; at most 1024", "agent.model: is missing; ListModels (agentctl models) names those there are",
                  "agent.instructions: 65537 bytes are too many; at most 65536", "agent.tools[0]: is not 1-64 characters of [a-zA-Z0-9_-]",
                  "agent.tools[2]: \"t\" is there twice; leave one out", "agent.model_settings.temperature: -0.5 is not in 0 to 2",
                  "agent.model_settings.max_output_tokens: 0 is below 1", "agent.on_uncertain_call: 9 is not an UncertainCallAction",
                  "agent.compaction: 9 is not a CompactionStrategy"));
}

TEST(ValidateTest, ToolsToApproveAreSomeOfTheAgentsTools) {
  v1::Agent agent = GoodAgent();
  for (const char* tool : {"charge", "refund"}) agent.add_tools(tool);
  for (const char* tool : {"refund", "chrage", "refund", "search"}) agent.add_approve_tools(tool);
  EXPECT_THAT(CheckAgent(agent), ElementsAre("agent.approve_tools[1]: \"chrage\" is not among the agent's tools; did you mean \"charge\"?",
                                             "agent.approve_tools[2]: \"refund\" is there twice; leave one out",
                                             "agent.approve_tools[3]: \"search\" is not among the agent's tools; add it to tools, or leave it out here"));
  agent.clear_approve_tools();
  for (int i = 0; i <= kToolsPerAgentMax; ++i) agent.add_approve_tools("charge");
  EXPECT_THAT(CheckAgent(agent), ElementsAre("agent.approve_tools: 129 tools are too many; at most 128"));
}

TEST(JsonTextTest, TakesJsonOnly) {
  for (const char* text : {"{}", "[]", "1", "\"x\"", "null", " {\"a\":[true]} ", "1.00000000000000000001", "123456789012345678901234567890"}) {
    EXPECT_EQ(WhyNotJson(text, 64), "") << text;
  }
  for (const char* text : {"", "{", "{\"a\":}", "[1,]", "nul", "1 2", "{'a':1}", "// x\n1", "NaN"}) EXPECT_NE(WhyNotJson(text, 64), "") << text;
  EXPECT_EQ(WhyNotJson(std::string(64, '[') + std::string(64, ']'), 64), "");
  EXPECT_EQ(WhyNotJson(std::string(65, '[') + std::string(65, ']'), 64), "is nested deeper than 64");
  EXPECT_EQ(WhyNotJson(std::string(200'000, '['), 64), "is nested deeper than 64");
}

}  // namespace
}  // namespace agentruntime::rpc
