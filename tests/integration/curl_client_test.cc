// CurlClient over real sockets, against answers written byte by byte.
#include "runtime/http/curl_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/coroutine.h"
#include "tests/support/http_server.h"

namespace agentruntime {
namespace {

using ::agentruntime::testing::HttpServer;
using ::agentruntime::testing::RunCoroutine;
using ::agentruntime::testing::Running;
using ::agentruntime::testing::ServedRequest;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Connection = HttpServer::Connection;

HttpRequest To(const std::string& url) {
  HttpRequest request;
  request.url = url;
  request.addresses = AddressPolicy::kAny;  // the server is on loopback
  return request;
}

HttpOutcome Send(HttpClient& client, HttpRequest request, HttpSink* sink = nullptr) {
  return RunCoroutine<HttpOutcome>([&] { return client.Send(request, sink); });
}

// Keeps nothing else of the answer.
boost::asio::awaitable<std::string> BodyOf(HttpClient& client, HttpRequest request) { co_return (co_await client.Send(std::move(request), nullptr)).body; }

class Collect : public HttpSink {
 public:
  void Head(const HttpHead& head) override { status = head.status; }
  HttpTake Body(absl::string_view bytes) override {
    absl::StrAppend(&body, bytes);
    ++pieces;
    return HttpTake::kMore;
  }
  int status = 0;
  int pieces = 0;
  std::string body;
};

TEST(CurlClientTest, SendsMethodHeadersAndBody) {
  HttpServer server([](const ServedRequest&, Connection& c) { c.Answer(201, "made", "X-Id: 7\r\n"); });
  CurlClient client;
  HttpRequest request = To(server.Url("/things?a=b"));
  request.method = "POST";
  request.headers = {{"Content-Type", "application/json"}, {"Authorization", "Bearer k", true}, {"X-Empty", ""}};
  request.body = "{\"a\":1}";
  const HttpOutcome outcome = Send(client, request);
  EXPECT_EQ(outcome.end, HttpEnd::kResponse) << outcome.message;
  EXPECT_TRUE(outcome.sent);
  EXPECT_EQ(outcome.head.status, 201);
  EXPECT_EQ(outcome.head.Find("x-id"), "7");
  EXPECT_EQ(outcome.body, "made");
  const auto requests = server.requests();
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].target, "/things?a=b");
  EXPECT_EQ(requests[0].body, "{\"a\":1}");
  EXPECT_EQ(requests[0].headers.at("authorization"), "Bearer k");
  EXPECT_EQ(requests[0].headers.count("x-empty"), 1u);
  EXPECT_EQ(requests[0].headers.count("expect"), 0u);
}

TEST(CurlClientTest, StreamsPiecesAsTheyCome) {
  // Each piece is sent only once the one before it has arrived: a client that waits for the whole body never gets it.
  std::promise<void> first_arrived;
  auto arrived = first_arrived.get_future();
  HttpServer server([&](const ServedRequest&, Connection& c) {
    c.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none \r\n");
    arrived.wait();
    c.Write("3\r\ntwo\r\n0\r\n\r\n");
  });
  struct Sink : Collect {
    explicit Sink(std::promise<void>& promise) : promise(promise) {}
    HttpTake Body(absl::string_view bytes) override {
      if (pieces == 0) promise.set_value();
      return Collect::Body(bytes);
    }
    std::promise<void>& promise;
  } sink(first_arrived);
  CurlClient client;
  const HttpOutcome outcome = Send(client, To(server.Url("/")), &sink);
  EXPECT_EQ(outcome.end, HttpEnd::kResponse) << outcome.message;
  EXPECT_EQ(sink.status, 200);
  EXPECT_EQ(sink.body, "one two");
  EXPECT_GE(sink.pieces, 2);
}

TEST(CurlClientTest, MakesThePeerWaitForASlowSink) {
  const std::string body(8 << 20, 'x');
  HttpServer server([&](const ServedRequest&, Connection& c) { c.Answer(200, body); });
  struct Slow : Collect {
    HttpTake Body(absl::string_view bytes) override {
      largest = std::max(largest, bytes.size());
      if (pieces < 5) absl::SleepFor(absl::Milliseconds(20));  // the time that it takes to overflow, if nothing holds the peer back
      return Collect::Body(bytes);
    }
    size_t largest = 0;
  } sink;
  CurlClient client;
  HttpRequest request = To(server.Url("/"));
  request.response_bytes_max = 16 << 20;
  const HttpOutcome outcome = Send(client, request, &sink);
  EXPECT_EQ(outcome.end, HttpEnd::kResponse) << outcome.message;
  EXPECT_EQ(sink.body.size(), body.size());
  EXPECT_LE(sink.largest, static_cast<size_t>(kHttpStreamBytesMax));
}

TEST(CurlClientTest, EnoughReturnsAtOnceAndKeepsTheConnection) {
  std::promise<void> let_go;
  auto released = let_go.get_future().share();
  HttpServer server([&](const ServedRequest& request, Connection& c) {
    if (request.target == "/second") return c.Answer(200, "again");
    c.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n");
    released.wait();
    c.Write("0\r\n\r\n");
  });
  struct Enough : Collect {
    HttpTake Body(absl::string_view bytes) override {
      Collect::Body(bytes);
      return HttpTake::kEnough;
    }
  } sink;
  CurlClient client;
  EXPECT_EQ(Send(client, To(server.Url("/first")), &sink).end, HttpEnd::kResponse);
  EXPECT_EQ(sink.body, "done");
  let_go.set_value();
  // The tail is read behind our back, then the connection serves again: with room for one only, the second request waits for it.
  HttpRequest second = To(server.Url("/second"));
  second.connections_max = 1;
  EXPECT_EQ(Send(client, second).body, "again");
  EXPECT_EQ(server.requests().back().connection, 1);
}

TEST(CurlClientTest, ABodyOverItsBoundIsTooLarge) {
  HttpServer server([](const ServedRequest&, Connection& c) { c.Answer(200, std::string(100'000, 'x')); });
  CurlClient client;
  HttpRequest request = To(server.Url("/"));
  request.response_bytes_max = 1000;
  const HttpOutcome outcome = Send(client, request);
  EXPECT_EQ(outcome.end, HttpEnd::kTooLarge);
  EXPECT_EQ(outcome.body.size(), 1000u);
  EXPECT_EQ(outcome.head.status, 200);
  request.response_bytes_max = 100'000;
  EXPECT_EQ(Send(client, request).end, HttpEnd::kResponse);
}

TEST(CurlClientTest, HeadersOverTheirBoundBreakTheAnswer) {
  HttpServer server([](const ServedRequest&, Connection& c) {
    c.Write("HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 200; ++i) c.Write(absl::StrCat("X-", i, ": ", std::string(1000, 'h'), "\r\n"));
    c.Write("\r\n");
    c.Close();
  });
  CurlClient client;
  const HttpOutcome outcome = Send(client, To(server.Url("/")));
  EXPECT_EQ(outcome.end, HttpEnd::kBroken);
  EXPECT_THAT(outcome.message, HasSubstr("headers"));
}

TEST(CurlClientTest, WhatIsCutIsBrokenAndMayHaveHadAnEffect) {
  HttpServer server([](const ServedRequest& request, Connection& c) {
    if (request.target == "/body") c.Write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    if (request.target == "/chunk") c.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    if (request.target == "/head") c.Write("HTTP/1.1 200 OK\r\nContent-");
    request.target == "/reset" ? c.Reset() : c.Close();
  });
  CurlClient client;
  for (const char* target : {"/body", "/chunk", "/head", "/nothing", "/reset"}) {
    const HttpOutcome outcome = Send(client, To(server.Url(target)));
    EXPECT_EQ(outcome.end, HttpEnd::kBroken) << target;
    EXPECT_TRUE(outcome.sent) << target;
    EXPECT_THAT(outcome.message, HasSubstr("broke off")) << target;
  }
}

TEST(CurlClientTest, NothingWasSentWhereNobodyListens) {
  int port;
  {
    port = HttpServer([](const ServedRequest&, Connection&) {}).port();
  }
  CurlClient client;
  const HttpOutcome outcome = Send(client, To(absl::StrCat("http://127.0.0.1:", port, "/")));
  EXPECT_EQ(outcome.end, HttpEnd::kUnreachable);
  EXPECT_FALSE(outcome.sent);
  EXPECT_THAT(outcome.message, HasSubstr("cannot be reached"));
}

TEST(CurlClientTest, SilenceEndsWithATimeout) {
  HttpServer server([](const ServedRequest& request, Connection& c) {
    if (request.target == "/middle") c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    c.WaitForClose();
  });
  CurlClient client;
  for (const char* target : {"/silent", "/middle"}) {
    HttpRequest request = To(server.Url(target));
    request.idle_timeout = absl::Milliseconds(100);
    const HttpOutcome outcome = Send(client, request);
    EXPECT_EQ(outcome.end, HttpEnd::kTimeout) << target;
    EXPECT_TRUE(outcome.sent);
    EXPECT_THAT(outcome.message, HasSubstr("sent nothing for 100ms"));
  }
}

TEST(CurlClientTest, ATrickleDoesNotOutliveTheTotalTimeout) {
  HttpServer server([](const ServedRequest&, Connection& c) {
    c.Write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    for (int i = 0; i < 1000; ++i) {
      if (!c.Write("x")) return;
      absl::SleepFor(absl::Milliseconds(10));  // the pace of the trickle
      if (i == 999) ADD_FAILURE() << "the client never left";
    }
  });
  CurlClient client;
  HttpRequest request = To(server.Url("/"));
  request.idle_timeout = absl::Seconds(5);
  request.total_timeout = absl::Milliseconds(300);
  const HttpOutcome outcome = Send(client, request);
  EXPECT_EQ(outcome.end, HttpEnd::kTimeout);
  EXPECT_THAT(outcome.message, HasSubstr("did not complete"));
}

TEST(CurlClientTest, WhereWaitingDoesNotCountTheTimeBeginsWithTheConnection) {
  std::promise<void> let_go;
  auto released = let_go.get_future().share();
  HttpServer server([&](const ServedRequest& request, Connection& c) {
    if (request.target == "/first") released.wait();
    if (request.target == "/hang") return c.WaitForClose();
    c.Answer(200, "ok");
  });
  CurlClient client(NetworkOptions{.connections_max = 1});
  const HttpRequest first = To(server.Url("/first"));
  Running<std::string> before([&] { return BodyOf(client, first); });
  ASSERT_TRUE(server.AwaitRequests(1));
  HttpRequest patient = To(server.Url("/"));
  patient.waiting_counts = false;
  patient.total_timeout = absl::Milliseconds(500);
  Running<HttpOutcome> waits([&] { return client.Send(patient, nullptr); });
  HttpRequest clock = To(server.Url("/"));
  clock.total_timeout = absl::Seconds(1);
  EXPECT_THAT(Send(client, clock).message, HasSubstr("was free in time"));
  let_go.set_value();
  EXPECT_EQ(before.Get(), "ok");
  {
    const HttpOutcome outcome = waits.Get();
    EXPECT_EQ(outcome.body, "ok") << outcome.message;
  }
  patient.url = server.Url("/hang");
  const HttpOutcome outcome = Send(client, patient);
  EXPECT_EQ(outcome.end, HttpEnd::kTimeout);
  EXPECT_THAT(outcome.message, HasSubstr("did not complete its answer within 500ms"));
}

TEST(CurlClientTest, CancellationAbortsTheTransfer) {
  std::promise<void> asked, left;
  HttpServer server([&](const ServedRequest&, Connection& c) {
    asked.set_value();
    c.WaitForClose();
    left.set_value();
  });
  CurlClient client;
  const HttpRequest request = To(server.Url("/"));
  Running<HttpOutcome> running([&] { return client.Send(request, nullptr); });
  asked.get_future().wait();
  const absl::Time start = absl::Now();
  running.Cancel();
  const HttpOutcome outcome = running.Get();
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_EQ(outcome.end, HttpEnd::kCancelled);
  EXPECT_TRUE(outcome.sent);
  left.get_future().wait();  // the server sees the connection close
}

TEST(CurlClientTest, OneOriginGetsNoMoreThanItsConnections) {
  std::atomic<int> under_way = 0, most = 0;
  HttpServer server([&](const ServedRequest&, Connection& c) {
    const int now = ++under_way;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    absl::SleepFor(absl::Milliseconds(5));  // so that they would overlap
    --under_way;
    c.Answer(200, "ok");
  });
  CurlClient client;
  HttpRequest request = To(server.Url("/"));
  request.connections_max = 3;
  std::vector<std::unique_ptr<Running<std::string>>> all;
  for (int i = 0; i < 20; ++i) all.push_back(std::make_unique<Running<std::string>>([&] { return BodyOf(client, request); }));
  for (auto& running : all) EXPECT_EQ(running->Get(), "ok");
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 2);
}

// Those who share the last place take turns, however long the queue of the first among them.
TEST(CurlClientTest, EachLaneThatWaitsHasItsTurn) {
  constexpr int kAll = 200;
  std::promise<void> let_go;
  auto released = let_go.get_future().share();
  std::atomic<int> of_a = 0, of_b = 0;
  HttpServer server([&](const ServedRequest& request, Connection& c) {
    if (request.target == "/first") released.wait();
    if (request.target == "/a") ++of_a;
    if (request.target == "/b") ++of_b;
    c.Answer(200, "ok");
  });
  CurlClient client(NetworkOptions{.connections_max = 1});
  const HttpRequest first = To(server.Url("/first"));
  Running<std::string> before([&] { return BodyOf(client, first); });
  ASSERT_TRUE(server.AwaitRequests(1));
  const auto ask_on = [&](std::string lane) -> boost::asio::awaitable<bool> {
    HttpRequest request = To(server.Url(absl::StrCat("/", lane)));
    request.lane = lane;
    while (of_a + of_b < kAll) co_await BodyOf(client, request);
    co_return true;
  };
  std::vector<std::unique_ptr<Running<bool>>> all;
  for (const char* lane : {"b", "a", "a", "a", "a", "b"}) all.push_back(std::make_unique<Running<bool>>([&ask_on, lane] { return ask_on(lane); }));
  let_go.set_value();
  EXPECT_EQ(before.Get(), "ok");
  for (auto& running : all) running->Get();
  EXPECT_GT(of_a, kAll / 4);
  EXPECT_GT(of_b, kAll / 4) << "it waits for as long as the other lane has a queue";
}

// Nobody asks for more answers than there are places, however long those who asked keep the first.
TEST(CurlClientTest, AnAnswerThatIsKeptKeepsItsPlace) {
  HttpServer server([](const ServedRequest&, Connection& c) { c.Answer(200, "answer"); });
  CurlClient client(NetworkOptions{.connections_max = 2});
  const auto request = [&](const std::string& lane, absl::Duration time) {
    HttpRequest to = To(server.Url("/"));
    to.lane = lane;
    to.connections_max = 1;
    to.total_timeout = time;
    return to;
  };
  HttpOutcome first = Send(client, request("a", absl::Minutes(1)));
  ASSERT_EQ(first.body, "answer");
  HttpOutcome outcome = Send(client, request("a", absl::Milliseconds(100)));
  EXPECT_EQ(outcome.end, HttpEnd::kTimeout);
  EXPECT_FALSE(outcome.sent);
  EXPECT_THAT(outcome.message, HasSubstr(" for a was free in time; answers that are not recorded yet: 1 of it, 1 in all"));
  HttpOutcome second = Send(client, request("b", absl::Minutes(1)));
  EXPECT_EQ(second.body, "answer");
  outcome = Send(client, request("c", absl::Milliseconds(100)));
  EXPECT_EQ(outcome.end, HttpEnd::kTimeout) << "the client has two places";
  EXPECT_THAT(outcome.message, HasSubstr(" for c was free in time; all 2 of this process are taken; answers that are not recorded yet: 0 of it, 2 in all"));
  EXPECT_THAT(server.requests(), SizeIs(2));
  Running<HttpOutcome> waiting([&] { return client.Send(request("a", absl::Minutes(1)), nullptr); });
  first.place.reset();
  EXPECT_EQ(waiting.Get().body, "answer");
  EXPECT_EQ(Send(client, request("c", absl::Minutes(1))).body, "answer");
}

TEST(CurlClientTest, WhatIsNoLongerInMemoryKeepsNoPlace) {
  HttpServer server([](const ServedRequest& request, Connection& c) {
    if (request.target == "/empty") return c.Answer(204, "");
    if (request.target == "/moved") return c.Answer(302, "to another place", "Location: /\r\n");
    if (request.target == "/cut") {
      c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      return c.Close();
    }
    c.Answer(200, "answer");
  });
  auto client = std::make_unique<CurlClient>(NetworkOptions{.connections_max = 1});
  HttpRequest request = To(server.Url("/empty"));
  request.total_timeout = absl::Seconds(30);
  const HttpOutcome empty = Send(*client, request);
  EXPECT_EQ(empty.place, nullptr);
  request.url = server.Url("/cut");
  EXPECT_EQ(Send(*client, request).body, "half");
  Collect sink;
  request.url = server.Url("/");
  const HttpOutcome streamed = Send(*client, request, &sink);
  EXPECT_EQ(sink.body, "answer");
  request.url = server.Url("/moved");
  request.redirects_max = 1;
  const HttpOutcome last = Send(*client, request);
  EXPECT_EQ(last.body, "answer") << "the hop before it has made room";
  client.reset();  // while the last is kept
}

TEST(CurlClientTest, ACancelledOrLateRequestLeavesTheQueue) {
  std::promise<void> asked;
  HttpServer server([&](const ServedRequest&, Connection& c) {
    asked.set_value();
    c.WaitForClose();
  });
  CurlClient client;
  HttpRequest request = To(server.Url("/"));
  request.connections_max = 1;
  Running<HttpOutcome> first([&] { return client.Send(request, nullptr); });
  asked.get_future().wait();
  HttpRequest late = request;
  late.total_timeout = absl::Milliseconds(100);
  const HttpOutcome outcome = Send(client, late);
  EXPECT_EQ(outcome.end, HttpEnd::kTimeout);
  EXPECT_FALSE(outcome.sent);
  Running<HttpOutcome> third([&] { return client.Send(request, nullptr); });
  third.Cancel();
  EXPECT_EQ(third.Get().end, HttpEnd::kCancelled);
  first.Cancel();
  EXPECT_EQ(first.Get().end, HttpEnd::kCancelled);
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST(CurlClientTest, WhoLeavesTheMiddleOfTheQueueMakesRoomInIt) {
  HttpServer server([](const ServedRequest&, Connection& c) { c.WaitForClose(); });
  CurlClient client(NetworkOptions{.connections_max = 1, .waiting_max = 2});
  const HttpRequest request = To(server.Url("/"));
  Running<HttpOutcome> first([&] { return client.Send(request, nullptr); });
  ASSERT_TRUE(server.AwaitRequests(1));
  Running<HttpOutcome> second([&] { return client.Send(request, nullptr); });
  HttpRequest probe = request;
  probe.total_timeout = absl::Milliseconds(1);
  const absl::Time end = absl::Now() + absl::Seconds(10);
  int left = 0;  // probes whose time was up while the second stood before them
  while (left < 3 && absl::Now() < end) left += Send(client, probe).end == HttpEnd::kTimeout ? 1 : 0;
  EXPECT_EQ(left, 3) << "the queue is full of those who have left it";
  second.Cancel();
  EXPECT_EQ(second.Get().end, HttpEnd::kCancelled);
  first.Cancel();
  EXPECT_EQ(first.Get().end, HttpEnd::kCancelled);
}

TEST(CurlClientTest, ClosingTheClientEndsItsRequests) {
  std::promise<void> asked;
  HttpServer server([&](const ServedRequest&, Connection& c) {
    asked.set_value();
    c.WaitForClose();
  });
  auto client = std::make_unique<CurlClient>();
  const HttpRequest request = To(server.Url("/"));
  Running<HttpOutcome> running([&] { return client->Send(request, nullptr); });
  asked.get_future().wait();
  client.reset();
  EXPECT_EQ(running.Get().end, HttpEnd::kCancelled);
}

TEST(CurlClientTest, ARedirectIsAnAnswerUnlessItMayBeFollowed) {
  HttpServer server([](const ServedRequest& request, Connection& c) {
    if (request.target == "/to") return c.Answer(200, request.method + " arrived");
    c.Answer(302, "moved", "Location: /to\r\n");
  });
  CurlClient client;
  HttpRequest request = To(server.Url("/from"));
  EXPECT_EQ(Send(client, request).head.status, 302);
  request.redirects_max = 1;
  request.method = "POST";
  request.body = "x";
  const HttpOutcome outcome = Send(client, request);
  EXPECT_EQ(outcome.head.status, 200);
  EXPECT_EQ(outcome.body, "GET arrived");
  EXPECT_EQ(outcome.url, server.Url("/to"));
  Collect sink;
  Send(client, request, &sink);
  EXPECT_EQ(sink.body, "GET arrived");
}

TEST(CurlClientTest, RedirectsPassTheSameChecks) {
  HttpServer other([](const ServedRequest&, Connection& c) { c.Answer(200, "secret"); });
  HttpServer server([&](const ServedRequest& request, Connection& c) {
    c.Answer(307, "",
             absl::StrCat("Location: ",
                          request.target == "/file"   ? "file:///etc/passwd"
                          : request.target == "/loop" ? "/loop"
                                                      : other.Url("/"),
                          "\r\n"));
  });
  CurlClient client;
  HttpRequest request = To(server.Url("/file"));
  request.redirects_max = 3;
  EXPECT_EQ(Send(client, request).end, HttpEnd::kRefused);
  request.url = server.Url("/loop");
  EXPECT_THAT(Send(client, request).message, HasSubstr("more than 3 redirects"));
  // Another origin: keys stay behind, and the list of hosts holds there too.
  request.url = server.Url("/other");
  request.headers = {{"Authorization", "Bearer k", true}, {"Accept", "text/plain"}};
  EXPECT_EQ(Send(client, request).body, "secret");
  ASSERT_THAT(other.requests(), SizeIs(1));
  EXPECT_EQ(other.requests()[0].headers.count("authorization"), 0u);
  EXPECT_EQ(other.requests()[0].headers.at("accept"), "text/plain");
  request.hosts = std::make_shared<HostAllowList>(*HostAllowList::Parse({absl::StrCat("127.0.0.1:", server.port())}));
  const HttpOutcome outcome = Send(client, request);
  EXPECT_EQ(outcome.end, HttpEnd::kRefused);
  EXPECT_THAT(outcome.message, HasSubstr("not among the allowed hosts"));
  EXPECT_THAT(other.requests(), SizeIs(1));
}

TEST(CurlClientTest, RefusesPrivateAddressesHoweverTheyAreNamed) {
  HttpServer server([](const ServedRequest&, Connection& c) { c.Answer(200, "inside"); });
  CurlClient client;
  for (const char* host : {"127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "127.1"}) {
    HttpRequest request = To(absl::StrCat("http://", host, ":", server.port(), "/"));
    request.addresses = AddressPolicy::kPublicOnly;
    const HttpOutcome outcome = Send(client, request);
    EXPECT_EQ(outcome.end, HttpEnd::kRefused) << host << ": " << outcome.message;
    EXPECT_FALSE(outcome.sent);
    EXPECT_THAT(outcome.message, HasSubstr("is not a public address"));
  }
  EXPECT_THAT(server.requests(), IsEmpty());
  // The same server answers where the guard is off; it is the first that it hears of us.
  EXPECT_EQ(Send(client, To(server.Url("/"))).body, "inside");
  EXPECT_EQ(server.connections(), 1);
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST(CurlClientTest, AKeptConnectionIsNoWayAroundTheGuard) {
  HttpServer server([](const ServedRequest&, Connection& c) { c.Answer(200, "inside"); });
  CurlClient client;
  HttpRequest request = To(server.Url("/"));
  EXPECT_EQ(Send(client, request).body, "inside");
  EXPECT_EQ(Send(client, request).body, "inside");
  EXPECT_EQ(server.requests().back().connection, 1) << "the connection was not kept, so this test would show nothing";
  request.addresses = AddressPolicy::kPublicOnly;
  const HttpOutcome outcome = Send(client, request);
  EXPECT_EQ(outcome.end, HttpEnd::kRefused);
  EXPECT_FALSE(outcome.sent);
  EXPECT_THAT(server.requests(), SizeIs(2));
}

TEST(CurlClientTest, WhatMustNotBeRepeatedGetsAConnectionOfItsOwn) {
  HttpServer server([](const ServedRequest&, Connection& c) { c.Answer(200, "ok"); });
  CurlClient client;
  HttpRequest request = To(server.Url("/"));
  Send(client, request);
  request.repeatable = false;
  Send(client, request);
  EXPECT_EQ(server.requests().back().connection, 2);
}

TEST(CurlClientTest, RefusesLinesThatWouldForgeOthers) {
  HttpServer server([](const ServedRequest&, Connection& c) { c.Answer(200, "ok"); });
  CurlClient client;
  HttpRequest request = To(server.Url("/"));
  request.headers = {{"Authorization", "Bearer top-secret\n", true}};
  const HttpOutcome outcome = Send(client, request);
  EXPECT_EQ(outcome.end, HttpEnd::kRefused);
  EXPECT_THAT(outcome.message, HasSubstr("Authorization"));
  EXPECT_THAT(outcome.message, Not(HasSubstr("top-secret")));
  request.headers = {{"X: y\r\nZ", "v"}};
  EXPECT_EQ(Send(client, request).end, HttpEnd::kRefused);
  request.headers.clear();
  request.method = "GET /other HTTP/1.1\r\nX:";
  EXPECT_EQ(Send(client, request).end, HttpEnd::kRefused);
  request.method = "GET";
  request.url = server.Url("/ HTTP/1.1\r\nX: y");
  EXPECT_EQ(Send(client, request).end, HttpEnd::kRefused);
  EXPECT_THAT(server.requests(), IsEmpty());
}

TEST(CurlClientTest, TheEnvironmentsProxyIsNotAsked) {
  HttpServer proxy([](const ServedRequest&, Connection& c) { c.Answer(200, "by proxy"); });
  HttpServer server([](const ServedRequest&, Connection& c) { c.Answer(200, "directly"); });
  setenv("http_proxy", proxy.Url("").c_str(), 1);
  {
    CurlClient client;
    EXPECT_EQ(Send(client, To(server.Url("/"))).body, "directly");
  }
  unsetenv("http_proxy");
  CurlClient configured(NetworkOptions{.proxy = proxy.Url("")});
  EXPECT_EQ(Send(configured, To(server.Url("/"))).body, "by proxy");
}

}  // namespace
}  // namespace agentruntime
