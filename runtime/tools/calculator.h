// calculator: exact enough arithmetic, so that a language model need not guess it.
#pragma once

#include <string>

#include "runtime/tools/tool.h"

namespace agentruntime {

// Arguments: {"expression": see expression.h}. Result, one JSON part: {"expression", "value": number}. READ_ONLY, local.
class Calculator final : public Tool {
 public:
  explicit Calculator(std::string name);

  const ToolSpec& spec() const override { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override;

 private:
  ToolSpec spec_;
};

}  // namespace agentruntime
