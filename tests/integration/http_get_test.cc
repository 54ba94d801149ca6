// http_get over real sockets.
#include "runtime/tools/http_get.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "runtime/http/curl_client.h"
#include "tests/support/coroutine.h"
#include "tests/support/http_server.h"

namespace agentruntime {
namespace {

using ::agentruntime::testing::HttpServer;
using ::agentruntime::testing::RunCoroutine;
using ::agentruntime::testing::ServedRequest;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class NoProgress final : public ProgressSink {
  void Progress(absl::string_view, std::optional<double>) override {}
};

// Ten seconds before what `/later` says.
class TestClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::FromCivil(absl::CivilSecond(1994, 11, 6, 8, 49, 27), absl::UTCTimeZone()); }
  absl::Duration Monotonic() const override { return absl::ZeroDuration(); }
};

class HttpGetTest : public ::testing::Test {
 protected:
  HttpGetTest()
      : server_([](const ServedRequest& request, HttpServer::Connection& c) {
          if (request.target == "/moved") return c.Answer(302, "", "Location: /page\r\n");
          if (request.target == "/away") return c.Answer(302, "", "Location: http://169.254.169.254/latest/meta-data/\r\n");
          if (request.target == "/busy") return c.Answer(503, "try later", "Retry-After: 7\r\n");
          if (request.target == "/later") return c.Answer(429, "try later", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
          if (request.target == "/missing") return c.Answer(404, "no such page", "Content-Type: text/plain\r\n");
          if (request.target == "/image") return c.Answer(200, "\x89PNG\x01\x02", "Content-Type: image/png\r\n");
          if (request.target == "/big") return c.Answer(200, std::string(5000, 'x'), "Content-Type: text/plain\r\n");
          c.Answer(200, "the page, \xFF", "Content-Type: text/html; charset=x\r\n");
        }) {}

  HttpGetOptions Options() {
    HttpGetOptions options;
    options.allow_hosts = {absl::StrCat("127.0.0.1:", server_.port())};
    options.addresses = AddressPolicy::kAny;
    return options;
  }

  ToolOutcome Get(const HttpGetOptions& options, const std::string& url) {
    auto tool = HttpGetTool::Open(options, client_, clock_);
    EXPECT_TRUE(tool.ok()) << tool.status();
    ToolRequest request;
    request.arguments = absl::StrCat("{\"url\":\"", url, "\"}");
    NoProgress progress;
    return RunCoroutine<ToolOutcome>([&] { return (*tool)->Call(request, progress); });
  }
  std::string Text(const std::string& target) { return std::get<ToolDone>(Get(Options(), server_.Url(target))).parts.at(0).text(); }

  HttpServer server_;
  CurlClient client_;
  TestClock clock_;
};

TEST_F(HttpGetTest, TellsStatusTypeAndText) {
  EXPECT_EQ(Text("/page"), "HTTP 200\ncontent-type: text/html; charset=x\n\nthe page, \xEF\xBF\xBD");
  EXPECT_EQ(Text("/missing"), "HTTP 404\ncontent-type: text/plain\n\nno such page");
  EXPECT_EQ(Text("/image"), "HTTP 200\ncontent-type: image/png\n\n[6 bytes that are not text]");
  EXPECT_THAT(Text("/moved"), HasSubstr(absl::StrCat("url: ", server_.Url("/page"))));
}

TEST_F(HttpGetTest, CutsALongBody) {
  HttpGetOptions options = Options();
  options.response_bytes_max = 1000;
  EXPECT_THAT(std::get<ToolDone>(Get(options, server_.Url("/big"))).parts.at(0).text(), HasSubstr("x\n[cut after 1000 bytes]"));
}

TEST_F(HttpGetTest, APageKeepsThePlaceOfItsRequest) { EXPECT_NE(std::get<ToolDone>(Get(Options(), server_.Url("/big"))).place, nullptr); }

TEST_F(HttpGetTest, ABusyServerIsToBeAskedAgain) {
  const auto failed = std::get<ToolFailed>(Get(Options(), server_.Url("/busy")));
  EXPECT_EQ(failed.message, "HTTP 503 \"try later\"");
  EXPECT_TRUE(failed.retryable);
  EXPECT_EQ(failed.retry_after, absl::Seconds(7));
}

TEST_F(HttpGetTest, ADateToAskAgainAtIsCountedByTheClockThatItWasGiven) {
  EXPECT_EQ(std::get<ToolFailed>(Get(Options(), server_.Url("/later"))).retry_after, absl::Seconds(10));
}

TEST_F(HttpGetTest, RefusesLoopbackEvenIfItIsAllowed) {
  HttpGetOptions guarded = Options();
  guarded.addresses = AddressPolicy::kPublicOnly;
  const auto failed = std::get<ToolFailed>(Get(guarded, server_.Url("/page")));
  EXPECT_THAT(failed.message, HasSubstr("127.0.0.1 is not a public address"));
  EXPECT_FALSE(failed.retryable);
  EXPECT_THAT(server_.requests(), IsEmpty());
  // With the guard off the same call reaches the server.
  EXPECT_THAT(Text("/page"), HasSubstr("the page"));
  EXPECT_THAT(server_.requests(), SizeIs(1));
}

TEST_F(HttpGetTest, RefusesHostsThatAreNotAllowedAndRedirectsToThem) {
  for (const std::string& url : {absl::StrCat("http://localhost:", server_.port(), "/"), std::string("http://example.com/"), std::string("file:///etc/passwd"),
                                 server_.Url("/away"), absl::StrCat("http://x@127.0.0.1:", server_.port(), "/")}) {
    const ToolOutcome outcome = Get(Options(), url);
    ASSERT_TRUE(std::holds_alternative<ToolFailed>(outcome)) << url;
    EXPECT_THAT(std::get<ToolFailed>(outcome).message, HasSubstr("not asked: "));
    EXPECT_FALSE(std::get<ToolFailed>(outcome).retryable);
  }
  EXPECT_THAT(server_.requests(), SizeIs(1));  // the page that leads away
}

TEST(HttpGetOptionsTest, TheToolDoesNotExistWithoutAllowedHosts) {
  CurlClient client;
  const TestClock clock;
  EXPECT_THAT(std::string(HttpGetTool::Open(HttpGetOptions(), client, clock).status().message()), HasSubstr("allow_hosts"));
  HttpGetOptions wrong;
  wrong.allow_hosts = {"https://example.com/"};
  EXPECT_THAT(std::string(HttpGetTool::Open(wrong, client, clock).status().message()), HasSubstr("is no host"));
  HttpGetOptions right;
  right.allow_hosts = {"status.example.com"};
  const auto tool = HttpGetTool::Open(right, client, clock);
  ASSERT_TRUE(tool.ok());
  EXPECT_EQ((*tool)->spec().side_effect, v1::SIDE_EFFECT_READ_ONLY);
  EXPECT_EQ((*tool)->spec().attempts_max, 3);
  EXPECT_FALSE((*tool)->spec().local);
  EXPECT_THAT((*tool)->spec().description, HasSubstr("status.example.com"));
}

}  // namespace
}  // namespace agentruntime
