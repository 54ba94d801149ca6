#include "tests/simulation/settings.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/util/time.h"

namespace agentruntime::simulation {
namespace {

// Mostly absent, sometimes small, rarely large: calm seeds reach deep, wild ones reach corners.
double Rate(Dice& dice, double most) {
  if (dice.Chance(0.4)) return 0;
  return dice.Chance(0.7) ? most * 0.25 * dice.NextDouble() : most * dice.NextDouble();
}

absl::Duration Every(Dice& dice, double chance, absl::Duration least, absl::Duration most) {
  return dice.Chance(chance) ? dice.Between(least, most) : absl::ZeroDuration();
}

v1::Agent MakeAgent(Dice& dice, int number, bool asks, const std::map<std::string, v1::ModelPrice>& prices) {
  v1::Agent agent;
  agent.set_name(absl::StrCat("agents/a", number));
  agent.set_model(dice.Chance(0.4) ? "near" : "far");
  agent.set_instructions("Do what you are told.");
  for (const std::string& name : ToolNames()) {
    const bool is_ask = absl::StartsWith(name, kSubPrefix);
    if (is_ask ? asks && dice.Chance(0.6) : dice.Chance(0.7)) agent.add_tools(name);
  }
  for (const std::string& name : agent.tools()) {
    if (dice.Chance(0.15)) agent.add_approve_tools(name);
  }
  if (dice.Chance(0.5)) agent.mutable_limits()->set_max_repeats(static_cast<int32_t>(dice.Between(2, 5)));
  if (dice.Chance(0.3)) agent.mutable_limits()->set_max_steps(static_cast<int32_t>(dice.Between(1, 6)));
  if (dice.Chance(0.2)) agent.mutable_limits()->set_max_tool_calls(static_cast<int32_t>(dice.Between(0, 6)));
  if (dice.Chance(0.2)) agent.mutable_limits()->set_max_tokens(dice.Between(100, 9000));
  if (prices.contains(agent.model()) && dice.Chance(0.5)) agent.mutable_limits()->set_max_cost_micros(dice.Between(50, 20'000));
  *agent.mutable_limits()->mutable_timeout() = ToProto(dice.Chance(0.3) ? dice.Between(absl::Seconds(1), absl::Seconds(10)) : absl::Minutes(2));
  agent.set_grace_step(dice.Chance(0.4));
  agent.set_compaction(dice.Pick<v1::CompactionStrategy>(
      {v1::COMPACTION_STRATEGY_UNSPECIFIED, v1::COMPACTION_STRATEGY_CLEAR_RESULTS, v1::COMPACTION_STRATEGY_SUMMARIZE, v1::COMPACTION_STRATEGY_NONE}));
  agent.set_on_uncertain_call(dice.Pick<v1::UncertainCallAction>(
      {v1::UNCERTAIN_CALL_ACTION_UNSPECIFIED, v1::UNCERTAIN_CALL_ACTION_REPORT, v1::UNCERTAIN_CALL_ACTION_STOP, v1::UNCERTAIN_CALL_ACTION_ASK}));
  // The longest wait there is: whoever waits for it comes to its end long before the simulation gives up.
  *agent.mutable_call_wait() = ToProto(dice.Chance(0.5) ? dice.Between(absl::Seconds(1), absl::Seconds(20)) : absl::Minutes(2));
  if (dice.Chance(0.3)) agent.mutable_model_settings()->set_max_output_tokens(static_cast<int32_t>(dice.Between(1, 500)));
  return agent;
}

}  // namespace

Settings::Settings(uint64_t seed) {
  Dice dice(seed, 1);
  options.default_limits = PublishedDefaultLimits();
  options.maximum_limits = PublishedMaximumLimits();
  options.running_max = dice.Chance(0.3) ? dice.Between(1, 3) : 1000;
  options.queued_max = dice.Chance(0.1) ? dice.Between(1, 3) : 1000;
  for (const std::string name : {"near", "far"}) {
    if (dice.Chance(0.5)) continue;
    prices[name].set_input_micros(dice.Between(0, 3'000'000));
    prices[name].set_output_micros(dice.Between(0, 9'000'000));
  }
  if (dice.Chance(0.3)) context_tokens = static_cast<int32_t>(dice.Between(300, 3'000));
  // So small that results are kept apart, cut, find no room in their run, or wait for each other.
  if (dice.Chance(0.8)) {
    options.result.inline_bytes_max = dice.Between(64, 2'000);
    options.result.excerpt_bytes_max = dice.Between(8, 200);
    options.result.bytes_max = dice.Between(30'000, 100'000);
    options.result.run_bytes_max = dice.Between(40'000, 400'000);
    options.artifact_bytes_in_flight_max = dice.Between(30'000, 200'000);
  }
  const int count = static_cast<int>(dice.Between(1, 3));
  const bool asks = dice.Chance(0.4);
  for (int i = 0; i < count; ++i) agents.push_back(MakeAgent(dice, i, asks, prices));
  if (dice.Chance(0.3)) child_limits.set_max_tokens(dice.Between(200, 5'000));
  if (dice.Chance(0.3)) child_limits.set_max_steps(static_cast<int32_t>(dice.Between(1, 5)));
  child_timeout = dice.Chance(0.4) ? dice.Between(absl::Seconds(1), absl::Seconds(10)) : absl::Minutes(20);
  poisoned = dice.Chance(0.03);
  if (poisoned) {
    agents.back().set_model("poison");  // which has no price
    agents.back().mutable_limits()->clear_max_cost_micros();
  }

  model.fail = Rate(dice, 0.5);
  model.hang = Rate(dice, 0.1);
  model.deaf = Rate(dice, 0.1);
  model.odd = Rate(dice, 0.4);
  model.answer = dice.Chance(0.1) ? 0.02 : 0.1 + 0.4 * dice.NextDouble();
  model.repeat = Rate(dice, 0.5);
  if (dice.Chance(0.15)) {  // in circles, until it is stopped
    model.repeat = 0.97;
    model.answer = 0.02;
  }
  if (is_narrow()) model.answer *= 0.3;  // long enough to outgrow it
  model.time_max = dice.Chance(0.3) ? absl::Milliseconds(5) : absl::Seconds(3);
  tool.fail = Rate(dice, 0.5);
  tool.unknown = Rate(dice, 0.3);
  tool.hang = Rate(dice, 0.1);
  tool.deaf = Rate(dice, 0.1);
  tool.odd = Rate(dice, 0.2);
  tool.large = Rate(dice, 0.6);
  tool.time_max = dice.Chance(0.3) ? absl::Milliseconds(5) : absl::Seconds(2);

  // Long and fast: whoever does not read for a moment has missed more than is kept for him.
  const bool chatty = dice.Chance(0.04);
  if (chatty) {
    model.answer = 0.002;
    model.time_max = tool.time_max = absl::Milliseconds(2);
    for (v1::Agent& agent : agents) agent.mutable_limits()->set_max_steps(150);
  }

  submitters = static_cast<int>(dice.Between(1, 3));
  runs_each = chatty ? 1 : static_cast<int>(dice.Between(1, 3));
  meddlers = static_cast<int>(dice.Between(0, 3));
  watchers = static_cast<int>(dice.Between(0, 3));
  busy_time = dice.Between(absl::Seconds(5), absl::Seconds(60));

  commit_time_max = dice.Chance(0.3) ? absl::Milliseconds(300) : absl::Milliseconds(5);
  batch_max = dice.Chance(0.3) ? static_cast<size_t>(dice.Between(1, 4)) : 1000;
  if (dice.Chance(0.6)) {
    crash_at_effect = 0.05 * dice.NextDouble();
    effect_crashes_max = static_cast<int>(dice.Between(1, 6));
  }
  commit_fails = Rate(dice, 0.06);
  leave_time = Rate(dice, 0.2);
  crash_every = Every(dice, 0.5, absl::Seconds(1), absl::Seconds(20));
  drain_every = Every(dice, 0.3, absl::Seconds(3), absl::Seconds(20));
  full_every = Every(dice, 0.3, absl::Seconds(2), absl::Seconds(20));
  jump_every = Every(dice, 0.3, absl::Seconds(2), absl::Seconds(20));
  if (dice.Chance(0.15)) restored = 0.5 * dice.NextDouble();
  read_refused = Rate(dice, 0.8);
  options.stay_max = dice.Pick<absl::Duration>({kStayMax, kStayMax, absl::ZeroDuration(), absl::Milliseconds(300), absl::Seconds(2)});
}

}  // namespace agentruntime::simulation
