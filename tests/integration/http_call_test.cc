// http_call over real sockets: what is sent, what is a result, and how each failure ends, on which an UNSAFE call rests.
#include "runtime/tools/http_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "runtime/http/curl_client.h"
#include "tests/support/coroutine.h"
#include "tests/support/http_server.h"

namespace agentruntime {
namespace {

using ::agentruntime::testing::HttpServer;
using ::agentruntime::testing::RunCoroutine;
using ::agentruntime::testing::Running;
using ::agentruntime::testing::ServedRequest;
using boost::asio::ip::tcp;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

class NoProgress final : public ProgressSink {
  void Progress(absl::string_view, std::optional<double>) override {}
};

// `OK json ...`, `definite: ...`, `definite, again after 7s: ...`, `unknown: ...`.
std::string Say(const ToolOutcome& outcome) {
  if (const auto* done = std::get_if<ToolDone>(&outcome)) {
    if (done->parts.size() != 1) return absl::StrCat("OK with ", done->parts.size(), " parts");
    return done->parts[0].has_json() ? absl::StrCat("OK json ", done->parts[0].json()) : absl::StrCat("OK text ", done->parts[0].text());
  }
  if (const auto* unknown = std::get_if<ToolUnknown>(&outcome)) return absl::StrCat("unknown: ", unknown->message);
  const auto& failed = std::get<ToolFailed>(outcome);
  std::string said = failed.retryable ? "definite, again" : "definite";
  if (failed.retry_after) absl::StrAppend(&said, " after ", absl::FormatDuration(*failed.retry_after));
  return absl::StrCat(said, ": ", failed.message);
}

class HttpCallTest : public ::testing::Test {
 protected:
  HttpCallTest() : server_([this](const ServedRequest& request, HttpServer::Connection& c) { Serve(request, c); }) {}

  void Serve(const ServedRequest& request, HttpServer::Connection& c) {
    const absl::string_view target = request.target;
    int status = 0;
    if (absl::StartsWith(target, "/status/") && absl::SimpleAtoi(target.substr(8), &status)) {
      return c.Answer(status, "no", "Location: /json\r\n");
    }
    if (absl::StartsWith(target, "/wait/") && absl::SimpleAtoi(target.substr(6), &status)) return c.Answer(status, "busy", "Retry-After: 7\r\n");
    if (target == "/wait-oddly") return c.Answer(503, "busy", "Retry-After: soon\r\n");
    if (target == "/json") return c.Answer(200, R"({"b":1.50,"a":[1]})", "Content-Type: application/json; charset=utf-8\r\n");
    if (target == "/problem") return c.Answer(200, R"({"x":1})", "Content-Type: application/problem+json\r\n");
    if (target == "/no-json") return c.Answer(200, R"({"b":)", "Content-Type: application/json\r\n");
    if (target == "/deep") return c.Answer(200, std::string(65, '[') + std::string(65, ']'), "Content-Type: application/json\r\n");
    if (target == "/text") return c.Answer(200, "hello", "Content-Type: text/plain\r\n");
    if (target == "/bytes") return c.Answer(200, "\x01\x02\x03", "Content-Type: application/octet-stream\r\n");
    if (target == "/empty") return c.Answer(204, "");
    if (target == "/echo") return c.Answer(200, absl::StrCat("you sent ", request.headers.at("authorization")), "Content-Type: text/plain\r\n");
    if (target == "/echo-refused") return c.Answer(403, absl::StrCat("not for ", request.headers.at("authorization")));
    if (target == "/large") return c.Answer(200, std::string(2000, 'x'));
    if (target == "/large-refusal") return c.Answer(422, std::string(2000, 'x'));
    if (target == "/half") {
      c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      return c.Reset();
    }
    if (target == "/half-refusal") {
      c.Write("HTTP/1.1 404 X\r\nContent-Length: 10\r\n\r\nhalf");
      return c.Close();
    }
    if (target == "/cut") return c.Reset();
    asked_.set_value();
    c.WaitForClose();
  }

  HttpCallOptions Options(const std::string& target, v1::SideEffect side_effect = v1::SIDE_EFFECT_UNSAFE) {
    HttpCallOptions options;
    options.name = "charge";
    options.url = server_.Url(target);
    options.description = "Charges a card.";
    options.side_effect = side_effect;
    options.response_bytes_max = 1000;
    return options;
  }
  std::unique_ptr<HttpCallTool> Open(HttpCallOptions options) {
    auto tool = HttpCallTool::Open(std::move(options), client_, clock_);
    EXPECT_TRUE(tool.ok()) << tool.status();
    return *std::move(tool);
  }
  static ToolRequest Request(int attempt = 1) {
    ToolRequest request;
    request.attempt = attempt;
    request.arguments = R"({ "cents" : 100 })";
    request.idempotency_key = "0123456789abcdef0123456789abcdef";
    request.timeout = absl::Seconds(20);
    return request;
  }
  ToolOutcome Call(const HttpCallOptions& options, const ToolRequest& request) {
    const auto tool = Open(options);
    return RunCoroutine<ToolOutcome>([&] { return tool->Call(request, progress_); });
  }
  std::string Outcome(const std::string& target, int attempt = 1, v1::SideEffect side_effect = v1::SIDE_EFFECT_UNSAFE) {
    return Say(Call(Options(target, side_effect), Request(attempt)));
  }

  NoProgress progress_;
  SystemClock clock_;
  std::promise<void> asked_;
  HttpServer server_;
  CurlClient client_;
};

TEST_F(HttpCallTest, SendsTheArgumentsAsTheyAreWithTheirKey) {
  HttpCallOptions options = Options("/json?v=1");
  options.url = server_.Url("/text");
  options.token = Secret("t0ken");
  EXPECT_EQ(Say(Call(options, Request())), "OK text hello");
  ASSERT_THAT(server_.requests(), SizeIs(1));
  const ServedRequest request = server_.requests()[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.body, R"({ "cents" : 100 })");
  EXPECT_EQ(request.headers.at("content-type"), "application/json");
  EXPECT_EQ(request.headers.at("idempotency-key"), "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(request.headers.at("authorization"), "Bearer t0ken");
}

TEST_F(HttpCallTest, ABodyIsJsonIfItSaysSoAndIs) {
  EXPECT_EQ(Outcome("/json"), R"(OK json {"b":1.50,"a":[1]})");
  EXPECT_EQ(Outcome("/problem"), R"(OK json {"x":1})");
  EXPECT_EQ(Outcome("/no-json"), R"(OK text {"b":)");
  EXPECT_EQ(Outcome("/deep"), absl::StrCat("OK text ", std::string(65, '['), std::string(65, ']')));
  EXPECT_EQ(Outcome("/text"), "OK text hello");
  EXPECT_EQ(Outcome("/bytes"), "OK text [3 bytes that are not text]");
  EXPECT_EQ(Outcome("/empty"), "OK text [HTTP 204 without a body]");
}

TEST_F(HttpCallTest, TheStatusSaysWhetherTheCallTookEffect) {
  for (const int status : {400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451}) {
    EXPECT_EQ(Outcome(absl::StrCat("/status/", status)), absl::StrCat("definite: HTTP ", status, " \"no\""));
  }
  for (const int status : {425, 429}) EXPECT_EQ(Outcome(absl::StrCat("/status/", status)), absl::StrCat("definite, again: HTTP ", status, " \"no\""));
  for (const int status : {425, 429, 503})
    EXPECT_EQ(Outcome(absl::StrCat("/wait/", status)), absl::StrCat("definite, again after 7s: HTTP ", status, " \"busy\""));
  for (const int status : {408, 500, 501, 502, 503, 504, 599}) {
    EXPECT_THAT(Outcome(absl::StrCat("/status/", status)), StartsWith(absl::StrCat("unknown: HTTP ", status, " \"no\": ")));
  }
  EXPECT_THAT(Outcome("/wait/500"), StartsWith("unknown: HTTP 500 \"busy\": "));
  EXPECT_THAT(Outcome("/wait-oddly"), StartsWith("unknown: HTTP 503 \"busy\": "));
}

// Of a tool whose calls are repeated there is nothing to declare.
TEST_F(HttpCallTest, AnAnswerThatLeavesAnUnsafeCallUncertainSaysWhyAndWhatToDo) {
  const std::string why =
      ": the endpoint of this UNSAFE tool got the request and may have acted on it; declare the tool IDEMPOTENT if a repeat under the same key is "
      "harmless, or answer 422 where nothing was done";
  EXPECT_EQ(Outcome("/status/500"), absl::StrCat("unknown: HTTP 500 \"no\"", why));
  EXPECT_EQ(Outcome("/status/500", 1, v1::SIDE_EFFECT_IDEMPOTENT), "unknown: HTTP 500 \"no\"");
  EXPECT_EQ(Outcome("/status/422"), "definite: HTTP 422 \"no\"");
  EXPECT_EQ(Outcome("/wait/503"), "definite, again after 7s: HTTP 503 \"busy\"");
}

// A server that knows the key says 409 while an earlier attempt is under way. A first attempt has none before it, on a connection of its own.
TEST_F(HttpCallTest, AConflictIsDefiniteOnlyOfTheFirstAttempt) {
  EXPECT_EQ(Outcome("/status/409", 1), "definite: HTTP 409 \"no\"");
  EXPECT_THAT(Outcome("/status/409", 2), StartsWith("unknown: HTTP 409 \"no\": "));
  EXPECT_EQ(Outcome("/status/409", 1, v1::SIDE_EFFECT_IDEMPOTENT), "unknown: HTTP 409 \"no\"");
}

TEST_F(HttpCallTest, RedirectsAreNotFollowed) {
  for (const int status : {307, 308})
    EXPECT_EQ(Outcome(absl::StrCat("/status/", status)), absl::StrCat("definite: HTTP ", status, ": redirects are not followed"));
  for (const int status : {300, 301, 302, 303})
    EXPECT_THAT(Outcome(absl::StrCat("/status/", status)), StartsWith(absl::StrCat("unknown: HTTP ", status, ": redirects are not followed: ")));
  EXPECT_THAT(server_.requests(), SizeIs(6));
}

TEST_F(HttpCallTest, WhatWasNeverSentIsDefiniteAndTriedAgain) {
  HttpCallOptions options = Options("/text");
  {
    const HttpServer gone([](const ServedRequest&, HttpServer::Connection&) {});
    options.url = gone.Url("/");
  }
  EXPECT_THAT(Say(Call(options, Request())), ::testing::StartsWith("definite, again: 127.0.0.1:"));
  options.url = absl::StrCat("http://", std::string(64, 'a'), ".example/");  // no name may have such a part: no resolver has to be asked
  EXPECT_THAT(Say(Call(options, Request())), HasSubstr("definite, again: "));
  {
    boost::asio::io_context context;
    tcp::acceptor acceptor(context, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
    std::thread no_tls([&] { acceptor.accept().send(boost::asio::buffer("HTTP/1.1 400 X\r\n\r\n", 18)); });
    options.url = absl::StrCat("https://127.0.0.1:", acceptor.local_endpoint().port(), "/");
    EXPECT_THAT(Say(Call(options, Request())), ::testing::ContainsRegex("definite, again: 127.0.0.1:[0-9]+ cannot be reached: .*SSL"));
    no_tls.join();
  }
  for (const ServedRequest& request : server_.requests()) EXPECT_NE(request.method, "POST");
}

TEST_F(HttpCallTest, WhatBreaksOffAfterItsFirstByteIsUnknown) {
  EXPECT_THAT(Outcome("/cut"), HasSubstr("unknown: 127.0.0.1:"));
  EXPECT_THAT(Outcome("/half"), HasSubstr("unknown: 127.0.0.1:"));
  EXPECT_EQ(Outcome("/large"), "unknown: 127.0.0.1 answered more than 1000 bytes");
  // A refusal is one, whatever became of its text.
  EXPECT_EQ(Outcome("/half-refusal"), "definite: HTTP 404 \"half\"");
  EXPECT_THAT(Outcome("/large-refusal"), ::testing::StartsWith("definite: HTTP 422 \"xxx"));
}

TEST_F(HttpCallTest, ATimeoutIsUnknown) {
  ToolRequest request = Request();
  request.timeout = absl::Milliseconds(100);
  EXPECT_THAT(Say(Call(Options("/hang"), request)), HasSubstr("unknown: 127.0.0.1 did not complete its answer within 100ms"));
}

TEST_F(HttpCallTest, ACancelAbortsTheTransferAndIsUnknown) {
  const auto tool = Open(Options("/hang"));
  Running<ToolOutcome> running([&] { return tool->Call(Request(), progress_); });
  asked_.get_future().wait();
  running.Cancel();
  EXPECT_EQ(Say(running.Get()), "unknown: cancelled");
}

TEST_F(HttpCallTest, CallsOverTheBoundWaitTheirTurnAndCanBeCancelled) {
  HttpCallOptions options = Options("/hang");
  options.connections_max = 1;
  const auto tool = Open(options);
  Running<ToolOutcome> first([&] { return tool->Call(Request(), progress_); });
  asked_.get_future().wait();
  Running<ToolOutcome> second([&] { return tool->Call(Request(), progress_); });
  Running<ToolOutcome> third([&] { return tool->Call(Request(), progress_); });
  third.Cancel();
  EXPECT_THAT(Say(third.Get()),
              AllOf(HasSubstr("definite, again: cancelled before a connection to http://127.0.0.1:"), HasSubstr(" for tool charge was free")));
  ToolRequest late = Request();
  late.timeout = absl::Milliseconds(100);
  EXPECT_THAT(Say(RunCoroutine<ToolOutcome>([&] { return tool->Call(late, progress_); })), HasSubstr("definite, again: no connection to http://127.0.0.1:"));
  // Another tool of the same origin does not stand in this one's queue.
  HttpCallOptions other = Options("/text");
  other.name = "other";
  EXPECT_EQ(Say(Call(other, Request())), "OK text hello");
  EXPECT_THAT(server_.requests(), SizeIs(2));
  asked_ = {};
  first.Cancel();
  EXPECT_EQ(Say(first.Get()), "unknown: cancelled");
  asked_.get_future().wait();  // the second has its turn
  second.Cancel();
  EXPECT_EQ(Say(second.Get()), "unknown: cancelled");
}

// So results that wait for a disk are no more than may be under way.
TEST_F(HttpCallTest, AResultThatIsKeptIsACallUnderWay) {
  HttpCallOptions options = Options("/text");
  options.connections_max = 1;
  std::optional<ToolOutcome> kept = Call(options, Request());
  EXPECT_EQ(Say(*kept), "OK text hello");
  ToolRequest late = Request();
  late.timeout = absl::Milliseconds(100);
  EXPECT_THAT(Say(Call(options, late)), HasSubstr("definite, again: no connection to http://127.0.0.1:"));
  EXPECT_THAT(server_.requests(), SizeIs(1));
  kept.reset();
  EXPECT_EQ(Say(Call(options, Request())), "OK text hello");
  options.url = server_.Url("/status/403");
  const ToolOutcome refused = Call(options, Request());
  EXPECT_EQ(Say(refused), "definite: HTTP 403 \"no\"");
  EXPECT_EQ(Say(Call(options, Request())), "definite: HTTP 403 \"no\"") << "what is said of a refusal is short";
}

TEST_F(HttpCallTest, ATokenThatComesBackIsBlackedOut) {
  HttpCallOptions options = Options("/echo");
  options.token = Secret("t0ken-text");
  EXPECT_EQ(Say(Call(options, Request())), "OK text you sent Bearer [token]");
  options.url = server_.Url("/echo-refused");
  EXPECT_EQ(Say(Call(options, Request())), "definite: HTTP 403 \"not for Bearer [token]\"");
}

// A kept connection that has died is used by the library twice without a word; with a key that does no harm, without one it may.
TEST_F(HttpCallTest, AnUnsafeCallHasAConnectionOfItsOwn) {
  const auto unsafe = Open(Options("/text"));
  for (int i = 0; i < 3; ++i) RunCoroutine<ToolOutcome>([&] { return unsafe->Call(Request(), progress_); });
  EXPECT_EQ(server_.connections(), 3);
  const auto safe = Open(Options("/text", v1::SIDE_EFFECT_IDEMPOTENT));
  for (int i = 0; i < 3; ++i) RunCoroutine<ToolOutcome>([&] { return safe->Call(Request(), progress_); });
  EXPECT_EQ(server_.connections(), 4);
}

TEST_F(HttpCallTest, TellsWhatItIs) {
  HttpCallOptions options = Options("/text");
  options.input_schema = R"({"type":"object","required":["cents"]})";
  const auto tool = Open(options);
  EXPECT_EQ(tool->spec().name, "charge");
  EXPECT_EQ(tool->spec().description, "Charges a card.");
  EXPECT_EQ(tool->spec().input_schema, options.input_schema);
  EXPECT_EQ(tool->spec().side_effect, v1::SIDE_EFFECT_UNSAFE);
  EXPECT_EQ(tool->spec().origin, absl::StrCat("http://127.0.0.1:", server_.port()));
  EXPECT_FALSE(tool->spec().local);
  options.url = "ftp://x.example/";
  EXPECT_THAT(std::string(HttpCallTool::Open(options, client_, clock_).status().message()), HasSubstr("url: "));
}

}  // namespace
}  // namespace agentruntime
