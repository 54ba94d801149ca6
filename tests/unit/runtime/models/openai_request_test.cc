#include "runtime/models/openai_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace agentruntime {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::shared_ptr<const Parts> Text(const std::string& text) {
  auto parts = std::make_shared<Parts>();
  parts->Add()->set_text(text);
  return parts;
}

std::shared_ptr<v1::Decision> Asks() {
  auto decision = std::make_shared<v1::Decision>();
  decision->add_content()->set_text("let me look");
  for (const char* id : {"p1", "", "p3", "p3"}) {
    v1::ToolCall& call = *decision->add_tool_calls();
    call.set_call_id("2." + std::to_string(decision->tool_calls_size()));
    call.set_tool("look");
    call.set_arguments("{\"n\": 1.10, \"b\":1,\"a\":2}");
    call.set_provider_call_id(id);
  }
  return decision;
}

std::shared_ptr<v1::CallFinished> Ended(v1::CallOutcome outcome, const std::string& text) {
  auto finished = std::make_shared<v1::CallFinished>();
  finished->set_outcome(outcome);
  if (!text.empty()) finished->add_result()->set_text(text);
  return finished;
}

TEST(OpenAiRequestJsonTest, TheRuntimesNoticeIsTheLastThingThatAUserSays) {
  ModelRequest request;
  const auto decision = Asks();
  request.messages = {UserMessage{Text("what")}, AssistantMessage{decision}};
  request.notice = "answer now";
  const std::string text = OpenAiRequestJson(request, OpenAiOptions());
  EXPECT_NE(text.find(R"({"role":"user","content":"answer now"}]})"), std::string::npos) << text;
}

TEST(OpenAiRequestJsonTest, WritesTheWholeConversation) {
  ModelRequest request;
  request.instructions = "Be \"brief\".";
  request.temperature = 0.2;
  request.max_output_tokens = 100;
  const auto decision = Asks();
  request.messages = {UserMessage{Text("what\nis \xFF it")}, AssistantMessage{decision}, ToolMessage{decision, 0, Ended(v1::CALL_OUTCOME_OK, "found")},
                      ToolMessage{decision, 1, Ended(v1::CALL_OUTCOME_ERROR, "no such file")}};
  auto tool = std::make_shared<ToolSpec>();
  tool->name = "look";
  tool->description = "Looks.";
  tool->input_schema = R"({"type":"object","z":1,"a":12345678901234567890.10})";
  request.tools = {tool};
  OpenAiOptions options;
  options.provider_model = "some-model";
  options.max_tokens_field = "max_completion_tokens";
  options.parallel_tool_calls = true;

  const std::string text = OpenAiRequestJson(request, options);
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["model"], "some-model");
  EXPECT_EQ(json["stream"], true);
  EXPECT_EQ(json["stream_options"]["include_usage"], true);
  EXPECT_EQ(json["max_completion_tokens"], 100);
  EXPECT_EQ(json["parallel_tool_calls"], true);
  EXPECT_DOUBLE_EQ(json["temperature"], 0.2);
  ASSERT_EQ(json["messages"].size(), 5u);
  EXPECT_EQ(json["messages"][0], (nlohmann::json{{"role", "system"}, {"content", "Be \"brief\"."}}));
  EXPECT_EQ(json["messages"][1], (nlohmann::json{{"role", "user"}, {"content", "what\nis \xEF\xBF\xBD it"}}));
  const auto& assistant = json["messages"][2];
  EXPECT_EQ(assistant["content"], "let me look");
  EXPECT_EQ(assistant["tool_calls"][0]["id"], "p1");
  EXPECT_EQ(assistant["tool_calls"][1]["id"], "call_2_2");  // the provider gave none
  EXPECT_EQ(assistant["tool_calls"][2]["id"], "call_2_3");  // given twice
  EXPECT_EQ(assistant["tool_calls"][3]["id"], "call_2_4");
  EXPECT_EQ(assistant["tool_calls"][0]["function"]["arguments"], "{\"n\": 1.10, \"b\":1,\"a\":2}");
  EXPECT_EQ(json["messages"][3], (nlohmann::json{{"role", "tool"}, {"tool_call_id", "p1"}, {"content", "found"}}));
  EXPECT_EQ(json["messages"][4], (nlohmann::json{{"role", "tool"}, {"tool_call_id", "call_2_2"}, {"content", "Error: no such file"}}));
  EXPECT_THAT(text, HasSubstr(tool->input_schema));  // verbatim
}

TEST(OpenAiRequestJsonTest, SaysNothingThatWasNotSet) {
  ModelRequest request;
  request.messages = {UserMessage{Text("hi")}};
  OpenAiOptions options;
  options.provider_model = "m";
  options.parallel_tool_calls = true;  // without tools there is nothing to say
  EXPECT_EQ(OpenAiRequestJson(request, options),
            R"({"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":4096,"messages":[{"role":"user","content":"hi"}]})");
}

TEST(OpenAiRequestJsonTest, QuotesArgumentsThatAreNoObject) {
  for (const char* arguments : {"{\"cut", "[1]", "7", "null", ""}) {
    auto decision = std::make_shared<v1::Decision>();
    v1::ToolCall& call = *decision->add_tool_calls();
    call.set_tool("f");
    call.set_arguments(arguments);
    ModelRequest request;
    request.messages = {AssistantMessage{decision}};
    const auto json = nlohmann::json::parse(OpenAiRequestJson(request, OpenAiOptions()));
    const auto& message = json["messages"][0];
    EXPECT_TRUE(message["content"].is_null());
    const auto sent = nlohmann::json::parse(message["tool_calls"][0]["function"]["arguments"].get<std::string>());
    ASSERT_TRUE(sent.is_object()) << arguments;
    if (*arguments != '\0') {
      EXPECT_EQ(sent["malformed_arguments"], arguments);
    }
  }
}

TEST(ResultTextTest, SaysHowACallEnded) {
  EXPECT_EQ(ResultText(*Ended(v1::CALL_OUTCOME_OK, "4C")), "4C");
  EXPECT_EQ(ResultText(*Ended(v1::CALL_OUTCOME_DENIED, "a rule forbids it")), "Denied: a rule forbids it");
  EXPECT_EQ(ResultText(*Ended(v1::CALL_OUTCOME_NOT_RUN, "")), "Not run.");
  EXPECT_THAT(ResultText(*Ended(v1::CALL_OUTCOME_UNCERTAIN, "")), HasSubstr("may or may not"));
  EXPECT_THAT(ResultText(*Ended(v1::CALL_OUTCOME_CANCELLED, "x")), Not(HasSubstr("Error")));
}

}  // namespace
}  // namespace agentruntime
