// scripted: decisions from a file, for tests and demos. The format is described in README.md of this folder.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/models/model.h"
#include "runtime/timers.h"

namespace agentruntime {

struct Script;  // script.h

// What it decides depends on the script, the step, the attempt and the messages only. Local: its delays hold no thread and nothing leaves the process, so an
// attempt cut short by a crash may be repeated.
class Scripted final : public Model {
 public:
  // Borrows `timers`. `script` is shared by the coroutines under way.
  Scripted(std::string name, std::shared_ptr<const Script> script, Timers& timers);

  const ModelInfo& info() const override { return info_; }
  boost::asio::awaitable<ModelOutcome> Decide(ModelRequest request, DeltaSink& deltas) override;

 private:
  ModelInfo info_;
  const std::shared_ptr<const Script> script_;
  Timers& timers_;
};

}  // namespace agentruntime
