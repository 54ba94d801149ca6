// How many calls the server takes at once.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "agentruntime/v1/run_service.pb.h"
#include "proto/util/errors.h"
#include "tests/support/await.h"
#include "tests/unit/runtime/runtime_fixture.h"
#include "tests/unit/server/in_process_server.h"
#include "tests/unit/server/open_call.h"

namespace agentruntime {
namespace {

using testing::InProcessServer;
using testing::NeverDecides;
using testing::OpenCall;
using testing::RuntimeTest;
using testing::TestRuntime;
using testing::Told;

constexpr char kRefused[] = "RESOURCE_EXHAUSTED QUEUE_FULL: the server holds 2 open calls, its limit; try again later";

class OpenCallsTest : public RuntimeTest {
 protected:
  void SetUp() override {
    const auto run = runtime_.Await(runtime_->CreateRun(runtime_.Request(), Caller()));
    ASSERT_TRUE(run.ok()) << run.status();
    v1::WatchRunRequest request;
    request.set_name(run->name());
    watch_ = request.SerializeAsString();
  }
  std::unique_ptr<OpenCall> Watch() { return std::make_unique<OpenCall>(server_.Connect(), "/agentruntime.v1.RunService/WatchRun", watch_); }
  absl::Status Ask() { return OpenCall(server_.Connect(), "/agentruntime.v1.AdminService/GetServerInfo", "").End(); }
  void AwaitWatchers(int32_t count) {
    testing::AwaitThat("the calls are open", [&] { return runtime_.Await(runtime_->GetInfo())->watchers == count; });
  }

  TestRuntime runtime_{Config([](ModelRequest, DeltaSink&) { return NeverDecides(); })};
  InProcessServer server_{runtime_, /*open_calls_max=*/2};
  std::string watch_;
};

TEST_F(OpenCallsTest, OneOverTheBoundIsRefusedUntilAnotherEnds) {
  std::vector<std::unique_ptr<OpenCall>> open;
  for (int32_t i = 1; i <= 2; ++i) {
    open.push_back(Watch());
    AwaitWatchers(i);
  }
  EXPECT_EQ(Told(Ask()), kRefused);
  EXPECT_EQ(Told(Watch()->End()), kRefused) << "a stream as well";
  AwaitWatchers(2);
  open.front()->Leave();
  testing::AwaitThat("there is room for another call", [&] { return Ask().ok(); });
}

}  // namespace
}  // namespace agentruntime
