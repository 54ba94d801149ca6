#include "runtime/grant.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime {
namespace {

const v1::Child& ChildIn(const CallState& call) { return call.child->call_started().child(); }

// Calls of the step that may be answered by other runs and have none yet.
int64_t ToBeGranted(const RunState& state, const RunPlan& plan, const StepState& step) {
  return std::count_if(step.calls.begin(), step.calls.end(), [&](const CallState& call) {
    if (call.phase == CallPhase::kSettled || call.child != nullptr || call.ordinal > state.limits.max_tool_calls()) return false;
    const auto planned = plan.tools.find(RequestOf(step, call).tool());
    return planned != plan.tools.end() && planned->second.spec->child.has_value();
  });
}

}  // namespace

v1::Usage OpenGrants(const StepState& step) {
  v1::Usage open;
  for (const CallState& call : step.calls) {
    if (call.child == nullptr || call.phase == CallPhase::kSettled) continue;
    const v1::Usage granted = GrantedUsage(call);
    open.set_input_tokens(open.input_tokens() + granted.input_tokens());
    if (granted.has_cost_micros()) open.set_cost_micros(open.cost_micros() + granted.cost_micros());
  }
  return open;
}

Granted GrantOf(const RunState& state, const RunPlan& plan, const StepState& step, const ToolSpec& spec) {
  Granted granted;
  if (state.depth() >= kRunDepthMax) {
    granted.refusal = absl::StrCat("not run: this run is ", state.depth(), " runs below the one that somebody submitted, and at most ", kRunDepthMax,
                                   " are; answer without another agent");
    return granted;
  }
  const v1::Usage open = OpenGrants(step);
  const int64_t shares = ToBeGranted(state, plan, step) + 1;
  const int64_t tokens = state.limits.max_tokens() - BookedTokens(state) - open.input_tokens();
  v1::Limits grant;
  grant.set_max_tokens(tokens / shares);
  if (spec.child->limits.has_max_tokens()) grant.set_max_tokens(std::min(grant.max_tokens(), spec.child->limits.max_tokens()));
  if (grant.max_tokens() < std::min(kGrantTokensMin, spec.child->limits.has_max_tokens() ? spec.child->limits.max_tokens() : kGrantTokensMin)) {
    granted.refusal = absl::StrCat("not run: the run has ", std::max<int64_t>(0, tokens), " tokens left, too few for another agent");
    return granted;
  }
  if (state.limits.has_max_cost_micros()) {
    const int64_t cost = state.limits.max_cost_micros() - state.usage.cost_micros() - open.cost_micros();
    grant.set_max_cost_micros(cost / shares);
    if (spec.child->limits.has_max_cost_micros()) grant.set_max_cost_micros(std::min(grant.max_cost_micros(), spec.child->limits.max_cost_micros()));
    if (grant.max_cost_micros() < 1) {
      granted.refusal = "not run: the run has too little money left for another agent";
      return granted;
    }
  }
  *granted.child.emplace().mutable_grant() = std::move(grant);
  return granted;
}

RunId ChildRunId(absl::Time started, absl::string_view idempotency_key) {
  uint64_t high = 0;
  uint64_t low = 0;
  // 32 hex digits, as ours are.
  if (!absl::SimpleHexAtoi(idempotency_key.substr(0, 16), &high) || !absl::SimpleHexAtoi(idempotency_key.substr(16), &low)) return RunId();
  return RunId::New(started, high, low);
}

void NameChild(v1::CallStarted& started, absl::Time time) {
  if (!started.has_child() || !started.child().run().empty()) return;
  started.mutable_child()->set_run(RunName(ChildRunId(time, started.idempotency_key())));
}

RunId ChildOf(const CallState& call) { return ParseRunName(ChildIn(call).run()).value_or(RunId()); }

v1::Usage GrantedUsage(const CallState& call) {
  v1::Usage usage;
  usage.set_input_tokens(ChildIn(call).grant().max_tokens());
  if (ChildIn(call).grant().has_max_cost_micros()) usage.set_cost_micros(ChildIn(call).grant().max_cost_micros());
  return usage;
}

std::shared_ptr<const ChildOrder> OrderOf(const RunState& state, const CallState& call, const ToolSpec& spec) {
  const v1::CallStarted& started = call.child->call_started();
  const v1::RunCreated& created = state.created->run_created();
  auto order = std::make_shared<ChildOrder>();
  order->run = ChildOf(call);
  order->parent = state.id;
  order->call = call.id;
  order->attempt = call.attempts;
  order->key = started.idempotency_key();
  order->agent = spec.child->agent;
  order->limits = spec.child->limits;
  order->grant = started.child().grant();
  order->deadline = std::min(state.deadline, FromProto(call.child->time()) + FromProto(started.timeout()));
  order->depth = state.depth() + 1;
  order->priority = state.priority();
  order->labels = state.forked != nullptr ? state.forked->run_forked().labels() : created.labels();
  order->principal = state.forked != nullptr ? state.forked->run_forked().principal() : created.principal();
  order->traceparent = created.traceparent();
  return order;
}

std::shared_ptr<const ChildOrder> OnlyIfBegun(const ChildOrder& order) {
  auto only = std::make_shared<ChildOrder>(order);
  only->only_if_begun = true;
  return only;
}

}  // namespace agentruntime
