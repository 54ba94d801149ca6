// What tests of the pure core share: a plan, and the moves of a run over a journal built by hand.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "runtime/act.h"
#include "runtime/decide.h"
#include "runtime/environment.h"
#include "tests/support/journal.h"

namespace agentruntime::testing {

class JournalTest : public ::testing::Test {
 protected:
  // Up to the next attempt of the model, and its outcome. What follows from that is not recorded yet.
  void Decide(Journal& journal, ModelOutcome outcome) const {
    journal.Settle(*plan);
    ASSERT_TRUE(journal.state.model.open);
    journal.AddAll(FactsOfOutcome(journal.state, *plan, std::move(outcome), absl::Milliseconds(1), journal.now, 0.5));
  }
  // The outcome of the open attempt of a call of the last step; `index` is from 1. What follows from it is not recorded yet.
  void End(Journal& journal, int32_t index, ToolOutcome outcome, bool timed_out = false) const {
    const StepState& step = *journal.state.last_step();
    const CallState& call = step.calls[static_cast<size_t>(index) - 1];
    ASSERT_EQ(call.phase, CallPhase::kOpen);
    const ToolSpec& spec = *plan->tools.at(RequestOf(step, call).tool()).spec;
    journal.Add(FactOfOutcome(call, spec, CallEnd{std::move(outcome), timed_out, absl::Milliseconds(1)}, journal.now, 0.5));
  }
  // Of a run that stops with what is recorded.
  const v1::Stop& StopOf(Journal& journal) const {
    journal.Settle(*plan);
    EXPECT_TRUE(journal.state.is_stopped());
    return journal.state.stopped->run_stopped().stop();
  }
  static v1::Limits Limits(int32_t steps, int32_t calls, int64_t tokens = 1'000'000) {
    v1::Limits limits = PublishedDefaultLimits();
    limits.set_max_steps(steps);
    limits.set_max_tool_calls(calls);
    limits.set_max_tokens(tokens);
    return limits;
  }

  std::shared_ptr<FakeModel> model = std::make_shared<FakeModel>();
  std::shared_ptr<FakeTool> safe = std::make_shared<FakeTool>("safe", v1::SIDE_EFFECT_READ_ONLY);
  std::shared_ptr<FakeTool> unsafe = std::make_shared<FakeTool>("unsafe", v1::SIDE_EFFECT_UNSAFE);
  std::shared_ptr<RunPlan> plan = MakePlan(model, {safe, unsafe});
};

}  // namespace agentruntime::testing
