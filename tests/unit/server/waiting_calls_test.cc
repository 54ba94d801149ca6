// What calls that wait cost the server.
#include <gtest/gtest.h>

#include "agentruntime/v1/run_service.pb.h"
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

class WaitingCallsTest : public RuntimeTest {
 protected:
  static constexpr size_t kPaddingBytes = 256 << 10;

  WaitingCallsTest() {
    const auto run = runtime_.Await(runtime_->CreateRun(runtime_.Request(), Caller()));
    if (run.ok()) run_ = run->name();
  }
  void SetUp() override { ASSERT_FALSE(run_.empty()); }

  void AwaitWatchers(int32_t count) {
    testing::AwaitThat("the calls wait", [&] { return runtime_.Await(runtime_->GetInfo())->watchers == count; });
  }
  // With a field that this server does not know: it takes no room in the request either.
  template <typename Request>
  static std::string Padded(Request request) {
    request.GetReflection()->MutableUnknownFields(&request)->AddLengthDelimited(999, std::string(kPaddingBytes, 'x'));
    return request.SerializeAsString();
  }
  // Sends it, and waits until the server does; the bytes must go by then.
  void ExpectReleased(const char* method, std::string request) {
    const OpenCall call(server_.Connect(), std::string("/agentruntime.v1.RunService/") + method, std::move(request));
    AwaitWatchers(1);
    testing::AwaitThat("the request's bytes are let go of while the call waits", [&] { return call.released(); });
  }

  TestRuntime runtime_{Config([](ModelRequest, DeltaSink&) { return NeverDecides(); })};
  InProcessServer server_{runtime_};
  std::string run_;
};

TEST_F(WaitingCallsTest, AWaitingGetRunHoldsNoneOfItsBytes) {
  v1::GetRunRequest request;
  request.set_name(run_);
  request.mutable_wait()->set_seconds(600);
  ExpectReleased("GetRun", Padded(request));
}

TEST_F(WaitingCallsTest, AWatchHoldsNoneOfItsBytes) {
  v1::WatchRunRequest request;
  request.set_name(run_);
  ExpectReleased("WatchRun", Padded(request));
}

TEST_F(WaitingCallsTest, ARunAgentHoldsNoneOfItsBytes) {
  v1::RunAgentRequest request;
  request.mutable_run()->set_agent("agents/test");
  request.mutable_run()->add_input()->set_text("the question");
  ExpectReleased("RunAgent", Padded(request));
}

}  // namespace
}  // namespace agentruntime
