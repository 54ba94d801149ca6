// A tool that does what the dice say: works, fails, works and says that it does not know, hangs, goes on when it is cancelled, or says nonsense.
#pragma once

#include <memory>
#include <string>

#include "runtime/tools/tool.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/world.h"

namespace agentruntime::simulation {

class Process;

class SimulatedTool final : public Tool {
 public:
  // `name`: one of ToolNames; it says what the tool is.
  SimulatedTool(World& world, Judge& judge, Process& process, Store& store, const std::string& name);

  const ToolSpec& spec() const override { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override;

 private:
  ToolOutcome Outcome(bool cancelled);

  World& world_;
  Judge& judge_;
  Process& process_;
  const ToolTemper& temper_;
  ToolSpec spec_;
  const std::unique_ptr<Tool> real_;  // the tool itself, where it is read_artifact or a sub_agent
};

}  // namespace agentruntime::simulation
