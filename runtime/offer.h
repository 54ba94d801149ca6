// What a server offers agents, and whether an agent can run on it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agentruntime/v1/agent.pb.h"
#include "proto/util/errors.h"

namespace agentruntime {

struct Offer {
  std::map<std::string, std::string> models;  // name to the tool without which it cannot work; empty: none
  std::vector<std::string> tools;             // names, sorted
};

// Why `agent` cannot run here: its model or a tool is not configured, or they do not fit each other; with the nearest name there is. Fields are paths in
// the agent, such as `tools[1]`. Empty if it can.
std::vector<FieldViolation> WhyUnusable(const Offer& offer, const v1::Agent& agent);

// FAILED_PRECONDITION (AgentUnusable) with a BadRequest whose fields are `agent.` and the paths; OK if the agent can run here.
absl::Status CheckUsable(const Offer& offer, const v1::Agent& agent);

}  // namespace agentruntime
