// What a run is executed with: its agent's revision, the model and the tools of this server. Fixed while a session lives.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agentruntime/v1/agent.pb.h"
#include "runtime/models/messages.h"
#include "runtime/models/model.h"
#include "runtime/tools/tool.h"

namespace agentruntime {

struct PlannedTool {
  std::shared_ptr<Tool> tool;
  std::shared_ptr<const ToolSpec> spec;
  // OK, or a sentence for the model that says where the arguments do not fit the schema.
  std::function<absl::Status(absl::string_view arguments)> check;
};

struct RunPlan {
  std::shared_ptr<const v1::Agent> agent;
  std::shared_ptr<Model> model;              // null: not configured on this server any more
  std::optional<v1::ModelPrice> price;       // of the model; nullopt: nobody knows what it costs
  std::map<std::string, PlannedTool> tools;  // of the agent, by name; without those not configured any more
  // Of the run alone: what earlier runs of its conversation asked and answered, oldest first.
  std::vector<ModelMessage> earlier;
  int64_t earlier_bytes = 0;
};

}  // namespace agentruntime
