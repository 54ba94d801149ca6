// A tool whose outcomes a test decides.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "runtime/tools/tool.h"

namespace agentruntime::testing {

class FakeTool final : public Tool {
 public:
  using Behaviour = std::function<boost::asio::awaitable<ToolOutcome>(ToolRequest request, ProgressSink& progress)>;

  explicit FakeTool(std::string name, v1::SideEffect side_effect = v1::SIDE_EFFECT_READ_ONLY, Behaviour behaviour = nullptr)
      : behaviour_(std::move(behaviour)) {
    spec_.name = std::move(name);
    spec_.description = "a tool of a test";
    spec_.input_schema = R"({"type":"object"})";
    spec_.side_effect = side_effect;
    spec_.attempts_max = side_effect == v1::SIDE_EFFECT_UNSAFE ? 1 : 3;
    spec_.local = true;
  }

  const ToolSpec& spec() const override { return spec_; }
  ToolSpec& mutable_spec() { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override { return behaviour_(std::move(request), progress); }

 private:
  ToolSpec spec_;
  Behaviour behaviour_;
};

inline ToolOutcome Done(absl::string_view text) {
  ToolDone done;
  done.parts.emplace_back().set_text(std::string(text));
  return done;
}

}  // namespace agentruntime::testing
