#include "tests/support/test_runtime.h"

#include <cstdio>
#include <cstdlib>

#include "absl/time/clock.h"
#include "proto/util/names.h"

namespace agentruntime::testing {

namespace asio = boost::asio;

namespace {

template <typename T>
T Must(absl::StatusOr<T> value, const char* what) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s: %s\n", what, std::string(value.status().message()).c_str());
    std::abort();
  }
  return *std::move(value);
}

}  // namespace

TestRuntime::TestRuntime(Config config) : clock_(config.clock_ahead), blocking_(config.blocking_threads) {
  stores_ = Must(sqlite::OpenStores({.path = config.path}), "the store does not open");
  if (config.wrap_store) stores_.store = config.wrap_store(std::move(stores_.store));
  Environment environment;
  environment.pool = pool_.get_executor();
  environment.blocking_pool = blocking_.get_executor();
  environment.clock = &clock_;
  environment.timers = &timers_;
  environment.random = &random_;
  environment.store = stores_.store.get();
  if (config.wrap_agents) stores_.agents = config.wrap_agents(std::move(stores_.agents));
  environment.agents = stores_.agents.get();
  v1::Agent agent = config.agent;
  agent.set_name("agents/test");
  agent.set_model(config.models.front()->info().name);
  for (auto& model : config.models) environment.models[model->info().name] = model;
  for (auto& tool : config.tools) {
    agent.add_tools(tool->spec().name);
    environment.tools[tool->spec().name] = tool;
  }
  if (!config.options.default_limits.has_max_steps()) config.options.default_limits = PublishedDefaultLimits();
  if (!config.options.maximum_limits.has_max_steps()) config.options.maximum_limits = PublishedMaximumLimits();
  runtime_ = Must(Runtime::Start(environment, config.options), "the runtime does not start");
  Must(Await(runtime_->UpdateAgent(agent, /*allow_missing=*/true)), "the agent is refused");
}

void TestRuntime::Stop(absl::Duration grace) {
  if (runtime_ == nullptr) return;
  asio::co_spawn(pool_, runtime_->Drain(grace), asio::use_future).get();
  blocking_.join();
  pool_.join();
  timers_.Stop();         // its thread may be on its way out of a post to the pool
  stores_.store.reset();  // its last completions still find the runtime
  stores_.agents.reset();
  runtime_.reset();
}

CreateRequest TestRuntime::Request(const std::string& input) const {
  CreateRequest request;
  request.run.set_agent("agents/test");
  request.run.add_input()->set_text(input);
  return request;
}

v1::Run TestRuntime::RunToStop(CreateRequest request) {
  return WaitForStop(Must(Await(runtime_->CreateRun(std::move(request), Caller())), "the run is refused").name());
}

v1::Run TestRuntime::WaitForStop(const std::string& name) {
  v1::Run run = Must(Await(runtime_->GetRun(*ParseRunName(name), absl::Seconds(60))), "the run is lost");
  if (run.state() != v1::RUN_STATE_STOPPED) {
    std::fprintf(stderr, "no stop within a minute: %s\n", run.ShortDebugString().c_str());
    std::abort();
  }
  return run;
}

void TestRuntime::AwaitNoSession() {
  const absl::Time until = absl::Now() + absl::Minutes(1);
  while (Must(Await(runtime_->GetInfo()), "the runtime says nothing").sessions > 0) {
    if (absl::Now() < until) continue;
    std::fprintf(stderr, "a session stays\n");
    std::abort();
  }
}

std::vector<EventPtr> TestRuntime::Events(const std::string& name) {
  std::vector<EventPtr> all;
  for (;;) {
    auto page = Must(stores_.store->ReadEvents(*ParseRunName(name), all.empty() ? 0 : all.back()->sequence(), ReadLimit()), "the journal is lost");
    if (page.empty()) return all;
    all.insert(all.end(), page.begin(), page.end());
  }
}

}  // namespace agentruntime::testing
