// A model whose answers a test decides.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "runtime/models/model.h"

namespace agentruntime::testing {

class FakeModel final : public Model {
 public:
  using Behaviour = std::function<boost::asio::awaitable<ModelOutcome>(ModelRequest request, DeltaSink& deltas)>;

  explicit FakeModel(Behaviour behaviour = nullptr) : behaviour_(std::move(behaviour)) {
    info_.name = "fake";
    info_.provider = "fake";
    info_.local = true;
  }

  const ModelInfo& info() const override { return info_; }
  ModelInfo& mutable_info() { return info_; }
  boost::asio::awaitable<ModelOutcome> Decide(ModelRequest request, DeltaSink& deltas) override { return behaviour_(std::move(request), deltas); }

 private:
  ModelInfo info_;
  Behaviour behaviour_;
};

inline ModelOutcome Answer(absl::string_view text) {
  ModelOutcome outcome;
  outcome.decision.emplace();
  outcome.decision->add_content()->set_text(std::string(text));
  outcome.decision->set_finish_reason(v1::FINISH_REASON_ANSWER);
  outcome.usage.emplace();
  outcome.usage->set_input_tokens(10);
  outcome.usage->set_output_tokens(5);
  return outcome;
}

// One call for each pair of tool and arguments.
inline ModelOutcome Calls(const std::vector<std::pair<std::string, std::string>>& calls) {
  ModelOutcome outcome = Answer("");
  outcome.decision->clear_content();
  outcome.decision->set_finish_reason(v1::FINISH_REASON_TOOL_CALLS);
  for (const auto& [tool, arguments] : calls) {
    v1::ToolCall* const call = outcome.decision->add_tool_calls();
    call->set_tool(tool);
    call->set_arguments(arguments);
  }
  return outcome;
}

inline ModelOutcome ModelError(absl::string_view reason, bool retryable) {
  ModelOutcome outcome;
  outcome.error.set_reason(std::string(reason));
  outcome.error.set_message("the test said so");
  outcome.error.set_retryable(retryable);
  outcome.usage.emplace();
  return outcome;
}

}  // namespace agentruntime::testing
