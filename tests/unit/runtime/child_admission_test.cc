// Agents that ask agents: what one run may grow to.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/util/limits.h"
#include "runtime/tools/sub_agent.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

using testing::Answer;
using testing::Calls;
using testing::Immediately;
using testing::RuntimeTest;
using testing::TestRuntime;

constexpr int kAsked = 20;  // by each run that asks

// On two levels asks others of its kind, all at once, then says what the first that failed said.
boost::asio::awaitable<ModelOutcome> AsksMany(ModelRequest request, DeltaSink&) {
  const std::string input = std::get<UserMessage>(request.messages[0]).parts->at(0).text();
  if (request.step == 1 && input != "level 2") {
    const std::string arguments = absl::StrCat(R"({"input":")", input == "level 1" ? "level 2" : "level 1", R"("})");
    return Immediately(Calls(std::vector<std::pair<std::string, std::string>>(kAsked, {"ask", arguments})));
  }
  std::string failure = "all answered";
  for (const ModelMessage& message : request.messages) {
    const auto* const said = std::get_if<ToolMessage>(&message);
    if (said == nullptr) continue;
    const v1::CallFinished& finished = *said->finished;
    if (finished.outcome() == v1::CALL_OUTCOME_ERROR || absl::StrContains(finished.result(0).text(), "could not begin")) failure = finished.result(0).text();
  }
  return Immediately(Answer(failure));
}

TEST_F(RuntimeTest, RunsThatAskForMoreThanMayBeThereAreRefusedAndEnd) {
  TestRuntime::Config config =
      Config(AsksMany, {std::make_shared<SubAgent>(SubAgentOptions{.name = "ask", .agent = "agents/test", .description = "", .limits = {}})});
  config.options.running_max = 1;
  config.options.queued_max = 1;
  TestRuntime runtime(std::move(config));
  const v1::Run root = runtime.RunToStop(runtime.Request("level 0"));
  EXPECT_EQ(root.stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << root.stop().detail();
  RunQuery query;
  query.limit = 1000;
  const auto page = runtime.store().ListRuns(query);
  ASSERT_TRUE(page.ok()) << page.status();
  int refused = 0;
  for (const RunRecord& record : page->runs) {
    const v1::Run run = *runtime.Await(runtime->GetRun(record.id, absl::ZeroDuration()));
    EXPECT_EQ(run.state(), v1::RUN_STATE_STOPPED);
    refused += absl::StrContains(run.answer(0).text(), "as many as it may; ask fewer agents at once") ? 1 : 0;
  }
  EXPECT_GT(page->runs.size(), size_t{kCallsPerDecisionMax}) << "there is room for the calls of one decision";
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace agentruntime
