// A step writes what happened in it: what it weighs on disk does not depend on how many steps came before.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::Done;
using testing::FakeModel;
using testing::FakeTool;
using testing::Immediately;
using testing::RuntimeTest;
using testing::TestRuntime;

constexpr int kSteps = 2'000;  // in all
constexpr int kTextBytes = 200;
constexpr double kPayloadFactor = 1.5;
constexpr double kStepBytes = 300;
constexpr double kDifference = 0.05;

class LinearCostTest : public RuntimeTest {
 protected:
  struct Cost {
    double stored = 0;   // bytes of a step, in the file
    double payload = 0;  // of these, what model and tool said
  };

  // `runs` runs, which have kSteps steps together.
  Cost CostOfAStep(int runs) {
    const int steps = kSteps / runs;
    double payload = 0;
    const auto arguments = [](int step) { return absl::StrCat(R"({"step":)", step, R"(,"text":")", std::string(kTextBytes, 'x'), R"("})"); };
    TestRuntime::Config config = Config(
        [&](ModelRequest request, DeltaSink&) { return Immediately(request.step <= steps ? Calls({{"echo", arguments(request.step)}}) : Answer("done")); },
        {std::make_shared<FakeTool>("echo", v1::SIDE_EFFECT_READ_ONLY,
                                    [](ToolRequest, ProgressSink&) { return Immediately(Done(std::string(kTextBytes, 'y'))); })});
    auto model = std::static_pointer_cast<FakeModel>(config.models[0]);
    model->mutable_info().context_tokens = 100'000'000;
    config.agent.mutable_limits()->set_max_steps(kSteps + 1);
    config.agent.mutable_limits()->set_max_tool_calls(kSteps + 1);
    config.agent.mutable_limits()->set_max_tokens(100'000'000);
    const std::string empty = dir_.File(absl::StrCat("empty.", runs, ".db"));
    config.path = empty;
    {
      TestRuntime runtime(config);
    }
    config.path = dir_.File(absl::StrCat("full.", runs, ".db"));
    {
      TestRuntime runtime(config);
      for (int i = 0; i < runs; ++i) {
        const v1::Run run = runtime.RunToStop();
        EXPECT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << run.stop().ShortDebugString();
        EXPECT_EQ(run.usage().steps(), steps + 1);
      }
    }
    for (int step = 1; step <= steps; ++step) payload += static_cast<double>(std::string("echo").size() + arguments(step).size() + kTextBytes);
    const auto size = [](const std::string& path) { return static_cast<double>(std::filesystem::file_size(path)); };
    return {(size(config.path) - size(empty)) / kSteps, payload / steps};
  }
};

TEST_F(LinearCostTest, AStepOfALongRunWeighsWhatAStepOfAShortOneDoes) {
  const Cost of_200 = CostOfAStep(kSteps / 200);
  const Cost of_2000 = CostOfAStep(1);
  printf("bytes of a step: %.0f in runs of 200, %.0f in one of 2,000, of which %.0f are what was said\n", of_200.stored, of_2000.stored, of_2000.payload);
  EXPECT_LE(of_200.stored, kPayloadFactor * of_200.payload + kStepBytes);
  EXPECT_LE(of_2000.stored, kPayloadFactor * of_2000.payload + kStepBytes);
  EXPECT_NEAR(of_2000.stored / of_200.stored, 1, kDifference);
}

}  // namespace
}  // namespace agentruntime
