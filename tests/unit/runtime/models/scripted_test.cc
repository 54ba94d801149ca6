#include "runtime/models/scripted.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "proto/util/limits.h"
#include "runtime/models/script.h"
#include "tests/support/coroutine.h"
#include "tests/support/temp_dir.h"

namespace agentruntime {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Waits no time but notes it.
class InstantTimers final : public Timers {
 public:
  std::unique_ptr<Wait> After(absl::Duration delay, boost::asio::any_io_executor executor, absl::AnyInvocable<void()> then) override {
    waits.push_back(delay);
    boost::asio::post(executor, std::move(then));
    return std::make_unique<Wait>();
  }
  std::vector<absl::Duration> waits;
};

class Deltas final : public DeltaSink {
 public:
  void Text(absl::string_view text) override { texts.emplace_back(text); }
  void Reasoning(absl::string_view) override {}
  void ToolCall(int32_t index, absl::string_view tool, absl::string_view arguments) override {
    calls.push_back(absl::StrCat(index, " ", tool, " ", arguments));
  }
  std::vector<std::string> texts;
  std::vector<std::string> calls;
};

std::shared_ptr<const Parts> Input(const std::string& text) {
  auto parts = std::make_shared<Parts>();
  parts->Add()->set_text(text);
  return parts;
}

ToolMessage Result(const std::string& json) {
  auto decision = std::make_shared<v1::Decision>();
  decision->add_tool_calls();
  auto finished = std::make_shared<v1::CallFinished>();
  finished->add_result()->set_json(json);
  return {decision, 0, finished};
}

class ScriptedTest : public ::testing::Test {
 protected:
  ModelOutcome Decide(const std::string& script, int step, int attempt = 1, std::vector<ModelMessage> messages = {}) {
    auto read = ReadScript("s.json", script);
    EXPECT_TRUE(read.ok()) << read.status();
    if (!read.ok()) return {};
    Scripted model("scripted", *read, timers_);
    if (messages.empty()) messages = {UserMessage{Input("hello")}};
    deltas_ = Deltas();
    return testing::RunCoroutine<ModelOutcome>([&] {
      ModelRequest request;
      request.step = step;
      request.attempt = attempt;
      request.messages = Messages(messages);
      return model.Decide(std::move(request), deltas_);
    });
  }
  static std::string Text(const ModelOutcome& outcome) {
    return outcome.decision && outcome.decision->content_size() == 1 ? outcome.decision->content(0).text() : "(none)";
  }

  InstantTimers timers_;
  Deltas deltas_;
};

TEST_F(ScriptedTest, AnswersInChunks) {
  const ModelOutcome outcome = Decide(R"({"steps":[{"delay":"1s","chunk_delay":"20ms","text":["one ","two ","three"]}]})", 1);
  EXPECT_EQ(Text(outcome), "one two three");
  EXPECT_EQ(outcome.decision->finish_reason(), v1::FINISH_REASON_ANSWER);
  EXPECT_THAT(deltas_.texts, ElementsAre("one ", "two ", "three"));
  EXPECT_THAT(timers_.waits, ElementsAre(absl::Seconds(1), absl::Milliseconds(20), absl::Milliseconds(20)));
  ASSERT_TRUE(outcome.usage.has_value());
  EXPECT_EQ(outcome.usage->input_tokens(), 0);
}

TEST_F(ScriptedTest, CallsTools) {
  const ModelOutcome outcome =
      Decide(R"({"steps":[{"text":"Look.","calls":[{"tool":"clock"},{"tool":"calculator","arguments":{"expression":"1+1","a":{"b":[1]}}}]}]})", 1);
  EXPECT_EQ(outcome.decision->finish_reason(), v1::FINISH_REASON_TOOL_CALLS);
  EXPECT_THAT(deltas_.calls, ElementsAre("1 clock {}", R"(2 calculator {"expression":"1+1","a":{"b":[1]}})"));
  EXPECT_EQ(outcome.decision->tool_calls(1).arguments(), R"({"expression":"1+1","a":{"b":[1]}})");
  EXPECT_THAT(timers_.waits, IsEmpty());
}

TEST_F(ScriptedTest, RepeatsASteps) {
  const std::string script = R"({"steps":[{"repeat":19,"calls":[{"tool":"calculator","arguments":{"expression":"{step}+1"}}]},{"text":"done after {step}"}]})";
  for (int step = 1; step <= 19; ++step) {
    EXPECT_EQ(Decide(script, step).decision->tool_calls(0).arguments(), absl::StrCat("{\"expression\":\"", step, "+1\"}"));
  }
  EXPECT_EQ(Text(Decide(script, 20)), "done after 20");
  const ModelOutcome beyond = Decide(script, 21);
  EXPECT_FALSE(beyond.decision.has_value());
  EXPECT_EQ(beyond.error.reason(), "MODEL_BAD_RESPONSE");
  EXPECT_EQ(beyond.error.message(), "the script ends before step 21");
  EXPECT_FALSE(beyond.error.retryable());
}

TEST_F(ScriptedTest, FailsTheFirstAttempts) {
  const std::string script =
      R"({"steps":[{"errors":[{"message":"HTTP 429","retry_after":"2s"},{"reason":"MODEL_REFUSED","retryable":false}],"text":"third time"}]})";
  const ModelOutcome first = Decide(script, 1, 1);
  EXPECT_EQ(first.error.reason(), "MODEL_UNAVAILABLE");
  EXPECT_EQ(first.error.message(), "HTTP 429");
  EXPECT_TRUE(first.error.retryable());
  EXPECT_EQ(first.retry_after, absl::Seconds(2));
  const ModelOutcome second = Decide(script, 1, 2);
  EXPECT_EQ(second.error.reason(), "MODEL_REFUSED");
  EXPECT_FALSE(second.error.retryable());
  EXPECT_EQ(Text(Decide(script, 1, 3)), "third time");
}

TEST_F(ScriptedTest, FillsPlaceholders) {
  const std::string script = R"({"steps":[{"text":"You said {input}, it said {last_result}.","calls":[{"tool":"t","arguments":{"q":"{input}"}},
                                          {"tool":"t","arguments_text":"raw {input}"}]}]})";
  const ModelOutcome outcome =
      Decide(script, 1, 1, {UserMessage{Input("old")}, Result("{\"value\":1}"), Result("{\"value\":2}"), UserMessage{Input("a \"b\"\n")}});
  EXPECT_EQ(Text(outcome), "You said a \"b\"\n, it said {\"value\":2}.");
  EXPECT_EQ(outcome.decision->tool_calls(0).arguments(), R"({"q":"a \"b\"\n"})");
  EXPECT_EQ(outcome.decision->tool_calls(1).arguments(), "raw a \"b\"\n");
}

TEST_F(ScriptedTest, RulesGoByTheFirstInput) {
  const std::string script = R"({"rules":[{"input_contains":"weather","steps":[{"text":"Sun."}]},{"steps":[{"text":"Else."}]}]})";
  EXPECT_EQ(Text(Decide(script, 1, 1, {UserMessage{Input("the weather?")}, UserMessage{Input("more")}})), "Sun.");
  EXPECT_EQ(Text(Decide(script, 1, 1, {UserMessage{Input("more")}})), "Else.");
  EXPECT_EQ(Decide(R"({"rules":[{"input_contains":"x","steps":[{"text":"y"}]}]})", 1).error.message(), "no rule of the script fits the input");
}

TEST_F(ScriptedTest, FinishReasonAndUsageAreTheScripts) {
  const ModelOutcome cut =
      Decide(R"({"steps":[{"text":"half","finish_reason":"LENGTH","usage":{"input_tokens":10,"cached_input_tokens":4,"output_tokens":5}}]})", 1);
  EXPECT_EQ(cut.decision->finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(cut.usage->input_tokens(), 10);
  EXPECT_EQ(cut.usage->cached_input_tokens(), 4);
  EXPECT_EQ(cut.usage->output_tokens(), 5);
  EXPECT_FALSE(Decide(R"({"steps":[{"text":"x","usage":null}]})", 1).usage.has_value());
}

TEST_F(ScriptedTest, InfoIsTheScripts) {
  Scripted model("demo", *ReadScript("s", R"({"description":"a demo","context_tokens":1000,"attempts_max":2,"steps":[{"text":"x"}]})"), timers_);
  EXPECT_EQ(model.info().name, "demo");
  EXPECT_EQ(model.info().provider, "scripted");
  EXPECT_EQ(model.info().description, "a demo");
  EXPECT_EQ(model.info().context_tokens, 1000);
  EXPECT_EQ(model.info().attempts_max, 2);
  EXPECT_TRUE(model.info().local);
}

TEST_F(ScriptedTest, CancelEndsADelayAtOnce) {
  SystemTimers timers;
  Scripted model("s", *ReadScript("s", R"({"steps":[{"delay":"1h","text":"x"}]})"), timers);
  testing::Running<ModelOutcome> running([&] {
    ModelRequest request;
    request.step = 1;
    return model.Decide(std::move(request), deltas_);
  });
  running.Cancel();
  const ModelOutcome outcome = running.Get();
  EXPECT_FALSE(outcome.decision.has_value());
  EXPECT_THAT(deltas_.texts, IsEmpty());
}

TEST(ScriptTest, LoadsAFile) {
  TempDir dir;
  std::ofstream(dir.File("s.json")) << R"({"steps":[{"text":"x"}]})";
  EXPECT_TRUE(LoadScript(dir.File("s.json")).ok());
  EXPECT_TRUE(absl::IsNotFound(LoadScript(dir.File("none.json")).status()));
}

TEST(ScriptTest, RefusesWhatIsNestedTooDeep) {
  const auto with_arguments = [](int depth) {
    const std::string nested = std::string(depth, '[') + std::string(depth, ']');
    return ReadScript("s.json", R"({"rules":[{"steps":[{"calls":[{"tool":"t","arguments":{"a":)" + nested + "}}]}]}]}");
  };
  EXPECT_TRUE(with_arguments(kJsonDepthMax - 1).ok());
  EXPECT_EQ(with_arguments(400'000).status().message(), "s.json: nested deeper than 72");
}

struct Bad {
  const char* script;
  const char* message;
};
class BadScript : public ::testing::TestWithParam<Bad> {};

TEST_P(BadScript, NamesThePlace) {
  const auto script = ReadScript("s.json", GetParam().script);
  EXPECT_TRUE(absl::IsInvalidArgument(script.status())) << GetParam().script;
  EXPECT_THAT(std::string(script.status().message()), AllOf(HasSubstr("s.json: "), HasSubstr(GetParam().message))) << GetParam().script;
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadScript,
    ::testing::Values(Bad{"", "not JSON: parse error at line 1, column 1"}, Bad{"{\"steps\":[\n{]}", "line 2, column 2"}, Bad{"[]", "/: give an object"},
                      Bad{"{}", "/: give either steps or rules"}, Bad{R"({"steps":[{"text":"x"}],"rules":[]})", "give either steps or rules"},
                      Bad{R"({"rules":[]})", "/rules: give at least one rule"}, Bad{R"({"steps":[]})", "/steps: give at least one step"},
                      Bad{R"({"steps":{}})", "/steps: give a list"}, Bad{R"({"stesp":[]})", R"(/stesp: unknown field; did you mean "steps"?)"},
                      Bad{R"({"steps":[{"text":"x"},{}]})", "/steps/1: give text, calls"}, Bad{R"({"steps":[{"text":5}]})", "/steps/0/text: give a list"},
                      Bad{R"({"steps":[{"text":["a",5]}]})", "/steps/0/text/1: give a text"},
                      Bad{R"({"steps":[{"text":"x","delay":1}]})", "/steps/0/delay: give a duration"},
                      Bad{R"({"steps":[{"text":"x","delay":"-1s"}]})", "/steps/0/delay: "},
                      Bad{R"({"steps":[{"text":"x","delay":"inf"}]})", "/steps/0/delay: "},
                      Bad{R"({"steps":[{"text":"x","repeat":0}]})", "/steps/0/repeat: give a whole number from 1"},
                      Bad{R"({"steps":[{"text":"x","repeat":1.5}]})", "/steps/0/repeat: "},
                      Bad{R"({"steps":[{"text":"x","repeat":18446744073709551615}]})", "/steps/0/repeat: "},
                      Bad{R"({"steps":[{"calls":[{"arguments":{}}]}]})", R"(/steps/0/calls/0: "tool" is missing)"},
                      Bad{R"({"steps":[{"calls":[{"tool":"t","arguments":"{}"}]}]})", "/steps/0/calls/0/arguments: give an object"},
                      Bad{R"({"steps":[{"calls":[{"tool":"t","arguments":{},"arguments_text":""}]}]})", "/steps/0/calls/0/arguments_text: give either"},
                      Bad{R"({"steps":[{"errors":[{"reason":"OOPS"}]}]})", "/steps/0/errors/0/reason: a model's reasons begin with MODEL_"},
                      Bad{R"({"steps":[{"errors":[{"retryable":"yes"}]}]})", "/steps/0/errors/0/retryable: give true or false"},
                      Bad{R"({"steps":[{"text":"x","finish_reason":"STOP"}]})", "/steps/0/finish_reason: give ANSWER"},
                      Bad{R"({"steps":[{"text":"x","usage":{"tokens":1}}]})", "/steps/0/usage/tokens: unknown field"},
                      Bad{R"({"steps":[{"text":"x","usage":{"input_tokens":-1}}]})", "/steps/0/usage/input_tokens: give a whole number"},
                      Bad{R"({"rules":[{"input_contains":"x"}]})", R"(/rules/0: "steps" is missing)"},
                      Bad{R"({"steps":[{"text":"a","text":"b"}]})", "the key \"text\" stands twice"},
                      Bad{"{\"description\":\"\xff\",\"steps\":[{\"text\":\"x\"}]}", "not JSON"}));

}  // namespace
}  // namespace agentruntime
