// What can be wrong with a configuration although it is YAML of the right shape.
#pragma once

#include <map>
#include <string>

#include "agentruntime/config/v1/server.pb.h"
#include "runtime/http/secret.h"
#include "runtime/offer.h"
#include "server/config_faults.h"

namespace agentruntime {

// Checks a configuration whose defaults are filled in: bounds, names, addresses, that the folders it names are there, and that its scripts are
// scripts: what start would refuse later is refused here.
void CheckConfig(const config::v1::ServerConfig& config, ConfigFaults& faults);

// Secrets of a configuration, each by the name of the model or tool that sends it.
struct Keys {
  std::map<std::string, Secret> models;
  std::map<std::string, Secret> tools;
};

// From the environment and from files.
Keys ReadKeys(const config::v1::ServerConfig& config, ConfigFaults& faults);

// What agents can name.
Offer OfferOf(const config::v1::ServerConfig& config);

}  // namespace agentruntime
