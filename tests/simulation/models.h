// A model that does what the dice say: decides, fails, hangs, goes on when it is cancelled, or answers nonsense.
#pragma once

#include <string>

#include "runtime/models/model.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/world.h"

namespace agentruntime::simulation {

class Process;

class SimulatedModel final : public Model {
 public:
  // `name`: near, far or poison.
  SimulatedModel(World& world, Judge& judge, Process& process, const std::string& name);

  const ModelInfo& info() const override { return info_; }
  boost::asio::awaitable<ModelOutcome> Decide(ModelRequest request, DeltaSink& deltas) override;

 private:
  boost::asio::awaitable<ModelOutcome> Answer(const ModelRequest& request, DeltaSink& deltas);
  ModelOutcome Decision(const ModelRequest& request);
  // Whether it did: those of the last decision, once more.
  bool RepeatCalls(const ModelRequest& request, v1::Decision& decision);
  void AddCalls(const ModelRequest& request, v1::Decision& decision);
  ModelOutcome Failure();

  World& world_;
  Judge& judge_;
  Process& process_;
  const ModelTemper& temper_;
  ModelInfo info_;
};

}  // namespace agentruntime::simulation
