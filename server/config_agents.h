// Agents in YAML files.
#pragma once

#include <string>

#include "agentruntime/config/v1/server.pb.h"
#include "agentruntime/v1/agent.pb.h"
#include "runtime/offer.h"
#include "server/config_faults.h"

namespace agentruntime {

// Reads and checks the agents of `config.agents`; faults name the place in the agent's own file. A bare name gets `agents/` in front.
std::vector<v1::Agent> ReadAgents(const config::v1::ServerConfig& config, const Offer& offer, ConfigFaults& faults);

}  // namespace agentruntime
