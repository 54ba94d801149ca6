// ask_person: a question of the agent to a person, whose answer is the result.
#pragma once

#include <string>

#include "runtime/tools/tool.h"

namespace agentruntime {

// Arguments: {"question": string}. Result: what the person says, as ResolveCall gave it. READ_ONLY; a call of it waits instead of being started (ask.h).
class AskPerson final : public Tool {
 public:
  explicit AskPerson(std::string name);

  const ToolSpec& spec() const override { return spec_; }
  // ToolFailed: it is the runtime that asks, and nobody calls it.
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override;

 private:
  ToolSpec spec_;
};

}  // namespace agentruntime
