// OpenAiModel over real sockets: against a provider's mock that others wrote, with its faults on, and against answers written byte by byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "proto/base/clock.h"
#include "runtime/http/curl_client.h"
#include "runtime/models/openai.h"
#include "runtime/tools/http_call.h"
#include "tests/support/aimock.h"
#include "tests/support/coroutine.h"
#include "tests/support/http_server.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_runtime.h"

namespace agentruntime {
namespace {

using ::agentruntime::testing::Aimock;
using ::agentruntime::testing::HttpServer;
using ::agentruntime::testing::RunCoroutine;
using ::agentruntime::testing::Running;
using ::agentruntime::testing::ServedRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kKey[] = "test-key-0123456789";

class Record final : public DeltaSink {
 public:
  void Text(absl::string_view piece) override {
    absl::StrAppend(&text, piece);
    ++pieces;
    if (on_text) on_text();
  }
  void Reasoning(absl::string_view) override {}
  void ToolCall(int32_t call_index, absl::string_view tool, absl::string_view fragment) override {
    if (static_cast<size_t>(call_index) > arguments.size()) arguments.resize(static_cast<size_t>(call_index));
    absl::StrAppend(&arguments[static_cast<size_t>(call_index) - 1], tool, fragment);
    ++pieces;
  }
  std::string text;
  std::vector<std::string> arguments;
  int pieces = 0;
  std::function<void()> on_text;
};

class NoProgress final : public ProgressSink {
  void Progress(absl::string_view, std::optional<double>) override {}
};

ModelRequest Ask(const std::string& text) {
  auto parts = std::make_shared<Parts>();
  parts->Add()->set_text(text);
  ModelRequest request;
  request.instructions = "Answer.";
  request.messages = {UserMessage{parts}};
  auto tool = std::make_shared<ToolSpec>();
  tool->name = "get_weather";
  tool->description = "Tells the weather.";
  tool->input_schema = R"({"type":"object","properties":{"city":{"type":"string"}}})";
  request.tools = {tool};
  return request;
}

// The conversation after `decision`, each of its calls answered.
ModelRequest Answered(ModelRequest request, v1::Decision made, const std::string& result) {
  for (int i = 0; i < made.tool_calls_size(); ++i) made.mutable_tool_calls(i)->set_call_id(absl::StrCat("1.", i + 1));
  const auto decision = std::make_shared<const v1::Decision>(std::move(made));
  request.messages.push_back(AssistantMessage{decision});
  for (int i = 0; i < decision->tool_calls_size(); ++i) {
    auto finished = std::make_shared<v1::CallFinished>();
    finished->set_outcome(v1::CALL_OUTCOME_OK);
    finished->add_result()->set_text(result);
    request.messages.push_back(ToolMessage{decision, i, finished});
  }
  return request;
}

class ModelFixture : public ::testing::Test {
 protected:
  static OpenAiOptions Options(const std::string& base_url) {
    OpenAiOptions options;
    options.name = "gpt";
    options.base_url = base_url;
    options.provider_model = "some-model";
    options.api_key = Secret(kKey);
    options.idle_timeout = absl::Seconds(20);
    return options;
  }
  std::unique_ptr<OpenAiModel> Open(OpenAiOptions options) {
    auto model = OpenAiModel::Open(std::move(options), http_, clock_);
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  }
  std::unique_ptr<OpenAiModel> Open(const std::string& base_url, std::vector<HttpHeader> headers = {}) {
    OpenAiOptions options = Options(base_url);
    options.headers = std::move(headers);
    return Open(std::move(options));
  }
  ModelOutcome Decide(Model& model, const ModelRequest& request) {
    deltas_ = Record();
    return RunCoroutine<ModelOutcome>([&] { return model.Decide(request, deltas_); });
  }

  SystemClock clock_;
  CurlClient http_;
  Record deltas_;
};

class AimockTest : public ModelFixture {
 protected:
  static void SetUpTestSuite() { mock_ = new Aimock("openai_model.json"); }
  static void TearDownTestSuite() { delete mock_; }
  void SetUp() override { ASSERT_TRUE(mock_->started()); }

  ModelOutcome Decide(const ModelRequest& request, std::vector<HttpHeader> headers = {}) {
    const auto model = Open(mock_->Url("/v1"), std::move(headers));
    return ModelFixture::Decide(*model, request);
  }

  static Aimock* mock_;  // one for all: node takes a second to start
};
Aimock* AimockTest::mock_ = nullptr;

TEST_F(AimockTest, AnswersWithDeltasAndUsage) {
  const ModelOutcome outcome = Decide(Ask("[greet]"));
  ASSERT_TRUE(outcome.decision.has_value()) << outcome.error.message();
  EXPECT_EQ(outcome.decision->content(0).text(),
            "Gr\xC3\xBC\xC3\x9F"
            "e \xF0\x9F\x98\x80 from a mock that others wrote");
  EXPECT_EQ(outcome.decision->finish_reason(), v1::FINISH_REASON_ANSWER);
  EXPECT_EQ(outcome.decision->model(), "gpt");
  EXPECT_THAT(outcome.decision->response_id(), HasSubstr("chatcmpl-"));
  EXPECT_TRUE(outcome.decision->has_duration());
  EXPECT_EQ(deltas_.text, outcome.decision->content(0).text());
  EXPECT_GT(deltas_.pieces, 3);
  ASSERT_TRUE(outcome.usage.has_value());
  EXPECT_EQ(outcome.usage->input_tokens(), 21);
  EXPECT_EQ(outcome.usage->output_tokens(), 9);
}

TEST_F(AimockTest, CallsAToolAndReadsItsResult) {
  const ModelRequest request = Ask("[weather]");
  const ModelOutcome asks = Decide(request);
  ASSERT_TRUE(asks.decision.has_value()) << asks.error.message();
  EXPECT_EQ(asks.decision->finish_reason(), v1::FINISH_REASON_TOOL_CALLS);
  ASSERT_EQ(asks.decision->tool_calls_size(), 1);
  const v1::ToolCall& call = asks.decision->tool_calls(0);
  EXPECT_EQ(call.tool(), "get_weather");
  EXPECT_EQ(call.provider_call_id(), "c1");
  EXPECT_EQ(nlohmann::json::parse(call.arguments()), (nlohmann::json{{"city", "Oslo \xF0\x9F\x98\x80"}, {"days", 3}}));
  EXPECT_EQ(deltas_.arguments.at(0), "get_weather" + call.arguments());
  EXPECT_GT(deltas_.pieces, 3);  // it came in fragments

  const ModelOutcome answers = Decide(Answered(request, *asks.decision, "4C"));
  ASSERT_TRUE(answers.decision.has_value()) << answers.error.message();
  EXPECT_EQ(answers.decision->content(0).text(), "4C in Oslo");
  EXPECT_EQ(answers.usage->input_tokens(), 120);
}

TEST_F(AimockTest, CallsTwoToolsAtOnce) {
  const ModelRequest request = Ask("[both]");
  const ModelOutcome asks = Decide(request);
  ASSERT_TRUE(asks.decision.has_value()) << asks.error.message();
  ASSERT_EQ(asks.decision->tool_calls_size(), 2);
  EXPECT_EQ(nlohmann::json::parse(asks.decision->tool_calls(0).arguments())["city"], "Oslo");
  EXPECT_EQ(nlohmann::json::parse(asks.decision->tool_calls(1).arguments())["city"], "Bergen");
  EXPECT_EQ(asks.decision->tool_calls(1).provider_call_id(), "c2");
  const ModelOutcome answers = Decide(Answered(request, *asks.decision, "cold"));
  ASSERT_TRUE(answers.decision.has_value()) << answers.error.message();
  EXPECT_EQ(answers.decision->content(0).text(), "4C and 7C");
}

TEST_F(AimockTest, TellsTheRuntimeWhenToTryAgain) {
  const ModelOutcome overloaded = Decide(Ask("[flaky]"));
  EXPECT_FALSE(overloaded.decision.has_value());
  EXPECT_EQ(overloaded.error.reason(), "MODEL_UNAVAILABLE");
  EXPECT_TRUE(overloaded.error.retryable());
  EXPECT_THAT(overloaded.error.message(), HasSubstr("model gpt: HTTP 503 \"overloaded\""));
  const ModelOutcome limited = Decide(Ask("[flaky]"));
  EXPECT_EQ(limited.error.reason(), "MODEL_UNAVAILABLE");
  EXPECT_EQ(limited.retry_after, absl::Seconds(1));
  EXPECT_THAT(limited.error.message(), HasSubstr("HTTP 429 \"slow down\", Retry-After 1s"));
  const ModelOutcome answered = Decide(Ask("[flaky]"));
  ASSERT_TRUE(answered.decision.has_value()) << answered.error.message();
  EXPECT_EQ(answered.decision->content(0).text(), "finally");
}

TEST_F(AimockTest, RefusalsNameTheRemedyAndNeverTheKey) {
  const ModelOutcome outcome = Decide(Ask("[key]"));
  EXPECT_EQ(outcome.error.reason(), "MODEL_REFUSED");
  EXPECT_FALSE(outcome.error.retryable());
  EXPECT_EQ(
      outcome.error.message(),
      "model gpt: HTTP 401 \"Incorrect API key provided: [key]\"; check the API key that the server's configuration names for this model; a new key needs "
      "a restart of the server");
  EXPECT_EQ(Decide(Ask("[long]")).error.reason(), "CONTEXT_TOO_LARGE");
}

TEST_F(AimockTest, AStreamThatIsCutIsAFailureToBeRetried) {
  for (const char* prompt : {"[trunc]", "[drop]"}) {
    const ModelOutcome outcome = Decide(Ask(prompt));
    EXPECT_FALSE(outcome.decision.has_value()) << prompt;
    EXPECT_EQ(outcome.error.reason(), "MODEL_UNAVAILABLE") << prompt << outcome.error.message();
    EXPECT_TRUE(outcome.error.retryable());
    EXPECT_THAT(deltas_.text, HasSubstr("one")) << "nothing was streamed before the cut, so this test would show little";
  }
}

TEST_F(AimockTest, SurvivesItsChaos) {
  struct Case {
    const char* header;
    const char* reason;
  };
  for (const Case& c : {Case{"x-aimock-chaos-drop", "MODEL_UNAVAILABLE"}, Case{"x-aimock-chaos-malformed", "MODEL_BAD_RESPONSE"},
                        Case{"x-aimock-chaos-disconnect", "MODEL_UNAVAILABLE"}, Case{"x-aimock-chaos-ratelimit", "MODEL_UNAVAILABLE"}}) {
    const ModelOutcome outcome = Decide(Ask("[greet]"), {{c.header, "1"}});
    EXPECT_FALSE(outcome.decision.has_value()) << c.header;
    EXPECT_EQ(outcome.error.reason(), c.reason) << c.header << ": " << outcome.error.message();
    EXPECT_TRUE(outcome.error.retryable()) << c.header;
  }
}

TEST_F(AimockTest, AStrictMockRefusesWhatItDoesNotKnow) {
  const ModelOutcome outcome = Decide(Ask("[unknown]"));
  EXPECT_EQ(outcome.error.reason(), "MODEL_UNAVAILABLE");
  EXPECT_THAT(outcome.error.message(), HasSubstr("HTTP 503"));
}

TEST_F(AimockTest, CancellationEndsASlowAnswer) {
  const auto model = Open(mock_->Url("/v1"));
  const ModelRequest request = Ask("[slow]");
  std::promise<void> streaming;
  deltas_.on_text = [&, said = false]() mutable {
    if (!std::exchange(said, true)) streaming.set_value();
  };
  Running<ModelOutcome> running([&] { return model->Decide(request, deltas_); });
  streaming.get_future().wait();
  const absl::Time start = absl::Now();
  running.Cancel();
  const ModelOutcome outcome = running.Get();
  EXPECT_LT(absl::Now() - start, absl::Seconds(1)) << "the next fragment is due after two";
  EXPECT_FALSE(outcome.decision.has_value());
  EXPECT_EQ(outcome.error.reason(), "INTERRUPTED");
}

class RawServerTest : public ModelFixture {};

// With it a provider finds what was asked in its own log, long after the run.
TEST_F(RawServerTest, AJournalKeepsTheProvidersResponseId) {
  HttpServer server([](const ServedRequest&, HttpServer::Connection& c) {
    c.Answer(200, "data: {\"id\":\"chatcmpl-7\",\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
  });
  const TempDir dir;
  testing::TestRuntime::Config config;
  config.models.push_back(Open(server.Url("/v1")));
  config.path = dir.File("test.db");
  testing::TestRuntime runtime(std::move(config));
  const v1::Run run = runtime.RunToStop();
  EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << run.stop().detail();
  std::vector<std::string> ids;
  for (const EventPtr& event : runtime.Events(run.name())) {
    if (event->has_decision_made()) ids.push_back(event->decision_made().decision().response_id());
  }
  EXPECT_THAT(ids, ElementsAre("chatcmpl-7"));
}

constexpr char kHi[] = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

TEST_F(RawServerTest, SendsKeyAndConversation) {
  HttpServer server([](const ServedRequest&, HttpServer::Connection& c) {
    c.Answer(200, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\r\n\r\ndata: [DONE]\r\n\r\n",
             "Content-Type: text/event-stream\r\n");
  });
  const auto model = Open(server.Url("/v1/"), {{"X-Organisation", "o", true}});
  const ModelOutcome outcome = Decide(*model, Ask("hello"));
  ASSERT_TRUE(outcome.decision.has_value()) << outcome.error.message();
  ASSERT_THAT(server.requests(), SizeIs(1));
  const ServedRequest request = server.requests()[0];
  EXPECT_EQ(request.target, "/v1/chat/completions");
  EXPECT_EQ(request.headers.at("authorization"), absl::StrCat("Bearer ", kKey));
  EXPECT_EQ(request.headers.at("x-organisation"), "o");
  const auto json = nlohmann::json::parse(request.body);
  EXPECT_EQ(json["model"], "some-model");
  EXPECT_EQ(json["messages"][1]["content"], "hello");
  EXPECT_EQ(json["tools"][0]["function"]["name"], "get_weather");
}

TEST_F(RawServerTest, TakesADoneWithoutWaitingForTheEnd) {
  HttpServer server([](const ServedRequest&, HttpServer::Connection& c) {
    c.Write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string body = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    c.Write(absl::StrFormat("%x\r\n%s\r\n", body.size(), body));
    c.WaitForClose();
  });
  const auto model = Open(server.Url("/v1"));
  const absl::Time start = absl::Now();
  EXPECT_TRUE(Decide(*model, Ask("x")).decision.has_value());
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));  // the idle timeout is twenty
}

TEST_F(RawServerTest, AnAttemptThatWaitsForAConnectionKeepsItsTime) {
  std::promise<void> let_go;
  auto released = let_go.get_future().share();
  HttpServer server([&](const ServedRequest& request, HttpServer::Connection& c) {
    if (absl::StrContains(request.body, "[hang]")) return c.WaitForClose();
    if (absl::StrContains(request.body, "[first]")) released.wait();
    c.Answer(200, kHi);
  });
  OpenAiOptions options = Options(server.Url("/v1"));
  options.connections_max = 1;
  const auto model = Open(options);
  options.total_timeout = absl::Milliseconds(500);
  const auto hurried = Open(options);
  const ModelRequest first = Ask("[first]");
  const ModelRequest ask = Ask("x");
  Running<ModelOutcome> before([&] { return model->Decide(first, deltas_); });
  ASSERT_TRUE(server.AwaitRequests(1));
  Record deltas;
  Running<ModelOutcome> waits([&] { return hurried->Decide(ask, deltas); });
  // One that begins at once, and later than that one was asked, is out of time first.
  options.name = "another";
  const auto another = Open(options);
  const ModelRequest hang = Ask("[hang]");
  Record none;
  Running<ModelOutcome> late([&] { return another->Decide(hang, none); });
  EXPECT_FALSE(late.Get().decision.has_value());
  let_go.set_value();
  EXPECT_TRUE(before.Get().decision.has_value());
  const ModelOutcome outcome = waits.Get();
  EXPECT_TRUE(outcome.decision.has_value()) << outcome.error.message();
}

// Two models and a tool of one origin, the tool named as one of the models: each waits for its own alone.
TEST_F(RawServerTest, AModelThatIsFullHoldsUpNobodyElseAtItsOrigin) {
  HttpServer server([](const ServedRequest& request, HttpServer::Connection& c) {
    if (absl::StrContains(request.body, "[hang]")) return c.WaitForClose();
    c.Answer(200, kHi);
  });
  OpenAiOptions options = Options(server.Url("/v1"));
  options.idle_timeout = absl::Minutes(5);
  const auto large = Open(options);
  options.name = "small";
  options.connections_max = 1;
  const auto small = Open(options);
  HttpCallOptions call;
  call.name = "small";
  call.url = server.Url("/call");
  call.description = "Calls.";
  call.connections_max = 1;
  const std::shared_ptr<Tool> tool = *HttpCallTool::Open(call, http_, clock_);
  const ModelRequest hang = Ask("[hang]");
  const ModelRequest ask = Ask("x");
  ToolRequest call_request;
  call_request.arguments = "{}";
  call_request.timeout = absl::Minutes(5);

  Running<ModelOutcome> large_hangs([&] { return large->Decide(hang, deltas_); });
  EXPECT_TRUE(server.AwaitRequests(1));
  Running<ModelOutcome> small_hangs([&] { return small->Decide(hang, deltas_); });
  EXPECT_TRUE(server.AwaitRequests(2)) << "the other's request took its only place";
  Running<ModelOutcome> small_waits([&] { return small->Decide(hang, deltas_); });
  Running<ModelOutcome> small_leaves([&] { return small->Decide(hang, deltas_); });
  small_leaves.Cancel();
  EXPECT_EQ(small_leaves.Get().error.reason(), "INTERRUPTED");
  NoProgress progress;
  Record deltas;
  Running<ModelOutcome> large_answers([&] { return large->Decide(ask, deltas); });
  EXPECT_TRUE(server.AwaitRequests(3)) << "it waits behind the other model's";
  Running<ToolOutcome> tool_answers([&] { return tool->Call(call_request, progress); });
  EXPECT_TRUE(server.AwaitRequests(4)) << "it waits behind the model of its name";
  EXPECT_THAT(server.requests(), SizeIs(4)) << "the small model is full";
  for (Running<ModelOutcome>* const running : {&large_hangs, &small_waits, &small_hangs}) running->Cancel();
  for (Running<ModelOutcome>* const running : {&large_hangs, &small_waits, &small_hangs}) EXPECT_EQ(running->Get().error.reason(), "INTERRUPTED");
  EXPECT_TRUE(large_answers.Get().decision.has_value());
  EXPECT_TRUE(std::holds_alternative<ToolDone>(tool_answers.Get()));
}

TEST_F(RawServerTest, JudgesAnswersThatAreNone) {
  struct Case {
    int status;
    std::string headers;
    std::string body;
    const char* reason;
    bool retryable;
    const char* message;
  };
  const std::string long_key = absl::StrCat(std::string(290, 'x'), " ", kKey);
  for (const Case& c : {
           Case{200, "Content-Type: text/html\r\n", "<html>log in</html>", "MODEL_BAD_RESPONSE", true, "check base_url"},
           Case{200, "Content-Type: application/json\r\n", "{\"choices\":", "MODEL_BAD_RESPONSE", true, "malformed JSON"},
           Case{200, "Content-Type: text/event-stream\r\n", "", "MODEL_BAD_RESPONSE", true, "no event"},
           Case{200, "Content-Type: text/event-stream\r\n", "data: " + std::string(3 << 20, 'x') + "\n\n", "MODEL_BAD_RESPONSE", true, "larger than"},
           Case{301, "Location: https://elsewhere.example/v1\r\n", "", "MODEL_REFUSED", false, "set base_url"},
           Case{404, "Content-Type: text/html\r\n", "<html>nothing</html>", "MODEL_REFUSED", false, "HTTP 404; check base_url"},
           Case{400, "", "{\"error\":{\"message\":\"bad\\nthing\"}}", "MODEL_REFUSED", false, "HTTP 400 \"bad thing\""},
           Case{403, "", "{\"error\":\"no\"}", "MODEL_REFUSED", false, "may use this model"},
           Case{413, "", "{\"error\":{\"message\":\"Prompt is too long\"}}", "CONTEXT_TOO_LARGE", false, "shorten"},
           Case{429, "", "{\"error\":{\"message\":\"pay\",\"code\":\"insufficient_quota\"}}", "MODEL_REFUSED", false, "balance"},
           Case{401, "", "{}", "MODEL_REFUSED", false, "a new key needs a restart"}, Case{408, "", "", "MODEL_TIMEOUT", true, "HTTP 408"},
           Case{422, "", "{}", "MODEL_REFUSED", false, "HTTP 422"}, Case{429, "Retry-After: 90\r\n", "{}", "MODEL_UNAVAILABLE", true, "Retry-After 1m30s"},
           Case{500, "", "\xFF\x00\x01", "MODEL_UNAVAILABLE", true, "HTTP 500"}, Case{504, "", "", "MODEL_TIMEOUT", true, "HTTP 504"},
           Case{400, "", long_key, "MODEL_REFUSED", false, "[key]"},  // the cut goes through the key
       }) {
    HttpServer server([&](const ServedRequest&, HttpServer::Connection& connection) { connection.Answer(c.status, c.body, c.headers); });
    const auto model = Open(server.Url("/v1"));
    const ModelOutcome outcome = Decide(*model, Ask("x"));
    EXPECT_FALSE(outcome.decision.has_value()) << c.message;
    EXPECT_EQ(outcome.error.reason(), c.reason) << outcome.error.message();
    EXPECT_EQ(outcome.error.retryable(), c.retryable) << outcome.error.message();
    EXPECT_THAT(outcome.error.message(), HasSubstr(c.message));
    EXPECT_THAT(outcome.error.message(), HasSubstr("model gpt: "));
    EXPECT_THAT(outcome.error.message(), Not(HasSubstr("test-key")));
    EXPECT_LT(outcome.error.message().size(), 600u);
    // Refused: nothing was used. Else nobody knows, and the reservation is booked.
    EXPECT_EQ(outcome.usage.has_value(), c.status >= 300 && c.status < 500 && c.status != 408) << c.status;
    if (outcome.usage) EXPECT_EQ(outcome.usage->ByteSizeLong(), 0u) << outcome.usage->DebugString();
  }
}

TEST_F(RawServerTest, TellsSilenceFromAbsence) {
  int port;
  {
    HttpServer server([](const ServedRequest&, HttpServer::Connection& c) { c.WaitForClose(); });
    port = server.port();
    OpenAiOptions options;
    options.name = "gpt";
    options.base_url = server.Url("/v1");
    options.provider_model = "m";
    options.idle_timeout = absl::Milliseconds(100);
    const auto model = OpenAiModel::Open(std::move(options), http_, clock_);
    ASSERT_TRUE(model.ok());
    const ModelOutcome silent = Decide(**model, Ask("x"));
    EXPECT_EQ(silent.error.reason(), "MODEL_TIMEOUT");
    EXPECT_TRUE(silent.error.retryable());
    EXPECT_FALSE(silent.usage.has_value());
  }
  const auto model = Open(absl::StrCat("http://127.0.0.1:", port, "/v1"));
  const ModelOutcome absent = Decide(*model, Ask("x"));
  EXPECT_EQ(absent.error.reason(), "MODEL_UNAVAILABLE");
  EXPECT_TRUE(absent.error.retryable());
  ASSERT_TRUE(absent.usage.has_value());  // nothing left for it
  EXPECT_EQ(absent.usage->ByteSizeLong(), 0u);
  EXPECT_THAT(absent.error.message(), HasSubstr("cannot be reached"));
}

TEST_F(RawServerTest, RefusesOptionsThatCannotWork) {
  const auto why = [&](auto change) {
    OpenAiOptions options;
    options.name = "gpt";
    options.base_url = "http://127.0.0.1/v1";
    options.provider_model = "m";
    change(options);
    const auto model = OpenAiModel::Open(std::move(options), http_, clock_);
    return model.ok() ? "" : std::string(model.status().message());
  };
  EXPECT_EQ(why([](OpenAiOptions&) {}), "");
  EXPECT_THAT(why([](OpenAiOptions& o) { o.base_url = "models.example.com"; }), HasSubstr("model gpt: base_url"));
  EXPECT_THAT(why([](OpenAiOptions& o) { o.base_url = "https://user:pass@models.example.com/v1"; }), HasSubstr("base_url"));
  EXPECT_THAT(why([](OpenAiOptions& o) { o.provider_model = ""; }), HasSubstr("name the provider's model"));
  const std::string key = why([](OpenAiOptions& o) { o.api_key = Secret("sk-from-a-file\n"); });
  EXPECT_THAT(key, HasSubstr("line break"));
  EXPECT_THAT(key, Not(HasSubstr("sk-from")));
}

}  // namespace
}  // namespace agentruntime
