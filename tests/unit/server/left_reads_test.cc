// Reads whose clients have left.
#include <gtest/gtest.h>

#include <memory>

#include "agentruntime/v1/run_service.pb.h"
#include "tests/support/await.h"
#include "tests/support/held_reads.h"
#include "tests/unit/runtime/runtime_fixture.h"
#include "tests/unit/server/in_process_server.h"
#include "tests/unit/server/open_call.h"

namespace agentruntime {
namespace {

using testing::HeldLists;
using testing::HeldReads;
using testing::InProcessServer;
using testing::OpenCall;
using testing::RuntimeTest;
using testing::Steps;
using testing::TestRuntime;
using testing::Told;

class LeftReadsTest : public RuntimeTest {
 protected:
  ~LeftReadsTest() override { held_.Release(); }
  TestRuntime::Config Narrow() {
    TestRuntime::Config config = Config(Steps(0, ""));
    config.options.reads_at_once_max = 2;
    config.options.reads_waiting_max = 1;
    config.wrap_store = [this](std::unique_ptr<Store> store) { return std::make_unique<HeldLists>(std::move(store), held_); };
    return config;
  }
  std::unique_ptr<OpenCall> List() { return std::make_unique<OpenCall>(server_.Connect(), "/agentruntime.v1.RunService/ListRuns", ""); }
  void AwaitWaiting(int64_t count) {
    testing::AwaitThat("so many wait", [&] { return runtime_.Await(runtime_->GetInfo())->reads_waiting == count; });
  }

  HeldReads held_;
  TestRuntime runtime_{Narrow()};
  InProcessServer server_{runtime_};
};

TEST_F(LeftReadsTest, TheyGiveTheirPlacesBack) {
  held_.Hold();
  const auto under_way = List();
  held_.AwaitUnderWay(1);
  const auto waiting = List();
  AwaitWaiting(1);
  EXPECT_EQ(Told(List()->End()), "RESOURCE_EXHAUSTED QUEUE_FULL: the server holds 1 waiting reads, its limit; try again later");
  waiting->Leave();
  AwaitWaiting(0);
  const auto next = List();
  AwaitWaiting(1);
  held_.Release();
  EXPECT_EQ(next->End(), absl::OkStatus());
  EXPECT_EQ(under_way->End(), absl::OkStatus());
}

}  // namespace
}  // namespace agentruntime
