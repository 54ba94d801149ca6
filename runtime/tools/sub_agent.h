// sub_agent: another agent does it, as a run of its own.
#pragma once

#include <string>

#include "agentruntime/v1/run.pb.h"
#include "runtime/tools/tool.h"

namespace agentruntime {

struct SubAgentOptions {
  std::string name;
  std::string agent;        // agents/{agent}, perhaps with a revision
  std::string description;  // what the model reads
  v1::Limits limits;        // of the child
};

// Arguments: {"input": what the child is asked}. Result: its answer. A child that stops without one is an error that says why, with what text there is.
// IDEMPOTENT: the child's id is a function of the call, so a second attempt finds the child of the first.
class SubAgent final : public Tool {
 public:
  explicit SubAgent(SubAgentOptions options);

  const ToolSpec& spec() const override { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override;

 private:
  ToolSpec spec_;
};

}  // namespace agentruntime
