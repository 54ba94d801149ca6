// What the tests of the whole runtime share: a runtime over a store of its own, and models that are done at once, later or never.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agentruntime/v1/run_service.pb.h"
#include "proto/util/names.h"
#include "tests/support/decoded.h"
#include "tests/support/test_runtime.h"

namespace agentruntime::testing {

inline boost::asio::awaitable<ModelOutcome> Immediately(ModelOutcome outcome) { co_return outcome; }
inline boost::asio::awaitable<ToolOutcome> Immediately(ToolOutcome outcome) { co_return outcome; }

// Until the attempt is cancelled.
inline boost::asio::awaitable<void> Forever() {
  SystemTimers timers;
  co_await timers.Sleep(absl::Hours(1));
}

inline boost::asio::awaitable<ModelOutcome> NeverDecides() {
  co_await Forever();
  co_return ModelError("INTERRUPTED", false);
}

inline boost::asio::awaitable<ModelOutcome> DecidesAfter(absl::Duration delay, ModelOutcome outcome) {
  SystemTimers timers;
  co_await timers.Sleep(delay);
  co_return outcome;
}

// `steps` decisions with one call of `tool` each, then the answer.
inline FakeModel::Behaviour Steps(int steps, std::string tool) {
  return [steps, tool](ModelRequest request, DeltaSink&) { return Immediately(request.step <= steps ? Calls({{tool, "{}"}}) : Answer("done")); };
}

class RuntimeTest : public ::testing::Test {
 protected:
  TestRuntime::Config Config(FakeModel::Behaviour behaviour, std::vector<std::shared_ptr<Tool>> tools = {}) {
    TestRuntime::Config config;
    config.models.push_back(std::make_shared<FakeModel>(std::move(behaviour)));
    config.tools = std::move(tools);
    config.path = dir_.File("test.db");
    return config;
  }
  static RunId IdOf(const v1::Run& run) { return *ParseRunName(run.name()); }
  static std::shared_ptr<FakeTool> Echo() {
    return std::make_shared<FakeTool>("echo", v1::SIDE_EFFECT_READ_ONLY,
                                      [](ToolRequest request, ProgressSink&) { return Immediately(Done("echo " + request.call.ToString())); });
  }
  static std::vector<v1::Event::KindCase> Kinds(const std::vector<EventPtr>& events) {
    std::vector<v1::Event::KindCase> kinds;
    for (const EventPtr& event : events) kinds.push_back(event->kind_case());
    return kinds;
  }

  TempDir dir_;
};

// Reads a watch to its end.
struct Watched {
  std::vector<v1::Run> runs;
  std::vector<v1::Event> events;
  std::vector<v1::Delta> deltas;
  absl::Status end;
};
inline boost::asio::awaitable<Watched> ReadAll(std::unique_ptr<Watch> watch) {
  Watched watched;
  for (;;) {
    auto next = co_await watch->Next();
    if (!next.ok()) {
      watched.end = std::move(next).status();
      co_return watched;
    }
    if (!*next) co_return watched;
    const v1::WatchRunResponse response = Decoded(*next).value();
    // A run behind the first is a bookmark: it never lies ahead of the events that were sent.
    if (response.has_run() && !watched.runs.empty() && !watched.events.empty()) {
      EXPECT_EQ(response.run().last_sequence(), watched.events.back().sequence());
    }
    if (response.has_run()) watched.runs.push_back(response.run());
    if (response.has_event()) watched.events.push_back(response.event());
    if (response.has_delta()) watched.deltas.push_back(response.delta());
  }
}

}  // namespace agentruntime::testing
