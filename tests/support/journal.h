// Journals built by hand, for tests of the pure core.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "proto/util/time.h"
#include "runtime/environment.h"
#include "runtime/grant.h"
#include "runtime/plan.h"
#include "runtime/state.h"
#include "runtime/stop.h"
#include "runtime/view.h"
#include "tests/support/fake_model.h"
#include "tests/support/fake_tool.h"

namespace agentruntime::testing {

// A state and the journal it was folded from. Facts are stamped as a session stamps them.
class Journal {
 public:
  explicit Journal(v1::Limits limits = PublishedDefaultLimits()) {
    state.id = RunId::New(now, 1, 2);
    v1::Event created;
    created.mutable_run_created()->set_agent("agents/test/revisions/1");
    created.mutable_run_created()->add_input()->set_text("the question");
    *created.mutable_run_created()->mutable_limits() = std::move(limits);
    Add(std::move(created));
  }

  void Add(v1::Event fact) {
    fact.set_sequence(state.last_sequence + 1);
    *fact.mutable_time() = ToProto(now);
    fact.set_active_us(absl::ToInt64Microseconds(active));
    fact.set_epoch(epoch);
    if (fact.has_call_started()) NameChild(*fact.mutable_call_started(), now);
    auto event = std::make_shared<const v1::Event>(std::move(fact));
    Apply(state, event);
    events.push_back(event);
  }
  void AddAll(std::vector<v1::Event> facts) {
    for (v1::Event& fact : facts) Add(std::move(fact));
  }
  Next WhatNext(const RunPlan& plan) const { return agentruntime::WhatNext(state, plan, {epoch, restored}, Instant{now, active}); }
  // Records facts until there are none.
  void Settle(const RunPlan& plan) {
    for (Next next = WhatNext(plan); !next.facts.empty(); next = WhatNext(plan)) AddAll(std::move(next.facts));
  }

  // All but its first event, as one append of a store whose epoch is `of_store`.
  AppendRequest Rest(Epoch of_store) const {
    AppendRequest rest;
    rest.run = state.id;
    rest.epoch = of_store;
    rest.expected_last_sequence = 1;
    rest.events.assign(events.begin() + 1, events.end());
    rest.projection = ProjectionOf(state);
    return rest;
  }

  absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  absl::Duration active;
  Epoch epoch = 1;
  Epoch restored = 0;
  RunState state;
  std::vector<EventPtr> events;
};

// A plan with `model` and `tools`, whose checks accept everything.
inline std::shared_ptr<RunPlan> MakePlan(std::shared_ptr<Model> model, std::vector<std::shared_ptr<Tool>> tools = {}) {
  auto agent = std::make_shared<v1::Agent>();
  agent->set_name("agents/test");
  agent->set_revision("agents/test/revisions/1");
  agent->set_model(model->info().name);
  auto plan = std::make_shared<RunPlan>();
  plan->model = std::move(model);
  for (auto& tool : tools) {
    agent->add_tools(tool->spec().name);
    plan->tools[tool->spec().name] =
        PlannedTool{tool, std::shared_ptr<const ToolSpec>(tool, &tool->spec()), [](absl::string_view) { return absl::OkStatus(); }};
  }
  plan->agent = std::move(agent);
  return plan;
}

}  // namespace agentruntime::testing
