// Large results of a tool over the network, and a disk that does not go on: how many there may be in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/base/mutex.h"
#include "runtime/http/curl_client.h"
#include "runtime/tools/http_call.h"
#include "tests/support/coroutine.h"
#include "tests/support/counter.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/http_server.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::HttpServer;
using testing::Immediately;
using testing::RuntimeTest;
using testing::ServedRequest;
using testing::TestRuntime;

constexpr int kCalls = 6;
constexpr int kPlaces = 2;

// Writes nothing more from the first large result on, until it is told to.
class StuckStore final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  void Append(AppendRequest request, AppendDone done) override {
    MutexLock lock(mu_);  // held over the other's: what comes in order goes on in order
    if (!request.artifacts.empty() && !goes_on_) stuck.Add();
    if (stuck.value() == 0 || goes_on_) return ForwardingStore::Append(std::move(request), std::move(done));
    held_.emplace_back(std::move(request), std::move(done));
  }
  void GoOn() {
    MutexLock lock(mu_);
    goes_on_ = true;
    for (auto& [request, done] : std::exchange(held_, {})) ForwardingStore::Append(std::move(request), std::move(done));
  }

  testing::Counter stuck;

 private:
  Mutex mu_;
  bool goes_on_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<std::pair<AppendRequest, AppendDone>> held_ ABSL_GUARDED_BY(mu_);
};

TEST_F(RuntimeTest, NoMoreLargeResultsAreAskedForThanMayWaitForTheDisk) {
  HttpServer endpoint([](const ServedRequest& request, HttpServer::Connection& c) {
    c.Answer(200, absl::StrCat(request.body, std::string(100'000, 'x')), "Content-Type: text/plain\r\n");
  });
  auto client = std::make_unique<CurlClient>();
  const SystemClock clock;
  HttpCallOptions options;
  options.name = "export";
  options.url = endpoint.Url("/");
  options.description = "Exports everything.";
  options.side_effect = v1::SIDE_EFFECT_READ_ONLY;
  options.connections_max = kPlaces;
  std::shared_ptr<Tool> tool = *HttpCallTool::Open(options, *client, clock);
  const auto behaviour = [](ModelRequest request, DeltaSink&) {
    std::vector<std::pair<std::string, std::string>> calls;
    for (int i = 0; i < kCalls; ++i) calls.emplace_back("export", absl::StrCat(R"({"n":)", i, "}"));
    return Immediately(request.step == 1 ? testing::Calls(calls) : testing::Answer("done"));
  };
  TestRuntime::Config config = Config(behaviour, {tool});
  config.options.artifact_bytes_in_flight_max = 1;  // one result at a time
  StuckStore* disk = nullptr;
  config.wrap_store = [&disk](std::unique_ptr<Store> store) {
    auto stuck = std::make_unique<StuckStore>(std::move(store));
    disk = stuck.get();
    return stuck;
  };
  TestRuntime runtime(std::move(config));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_TRUE(disk->stuck.Await(1));
  ASSERT_TRUE(endpoint.AwaitRequests(1 + kPlaces)) << "one result has room, the others that came keep their places";
  HttpRequest next;
  next.url = options.url;
  next.addresses = AddressPolicy::kAny;
  next.lane = absl::StrCat("tool ", options.name);
  next.connections_max = kPlaces;
  next.total_timeout = absl::Milliseconds(200);
  const HttpOutcome outcome = testing::RunCoroutine<HttpOutcome>([&] { return client->Send(next, nullptr); });
  EXPECT_EQ(outcome.end, HttpEnd::kTimeout) << "nobody gives a place back while the disk does not go on";
  EXPECT_EQ(endpoint.requests().size(), size_t{1 + kPlaces});

  disk->GoOn();
  EXPECT_EQ(runtime.WaitForStop(run->name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(endpoint.requests().size(), size_t{kCalls});
  const auto events = runtime.Events(run->name());
  EXPECT_EQ(std::count_if(events.begin(), events.end(),
                          [](const EventPtr& event) { return event->has_call_finished() && event->call_finished().result(0).has_artifact(); }),
            kCalls);
  runtime.Stop(absl::ZeroDuration());
  client.reset();  // its thread posts to the runtime's
}

}  // namespace
}  // namespace agentruntime
