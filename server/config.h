// agentd.yaml, read, completed and checked.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agentruntime/config/v1/server.pb.h"
#include "agentruntime/v1/agent.pb.h"
#include "runtime/offer.h"
#include "server/config_check.h"
#include "server/listen_address.h"

namespace agentruntime {

// What the command line says beside the file; empty: nothing.
struct ConfigOverrides {
  std::string listen;
  std::string store;
};

struct LoadedConfig {
  config::v1::ServerConfig config;  // effective: every default in its place, every path absolute
  ListenAddress listen;             // of config.listen.grpc
  Offer offer;                      // what agents can name
  Keys keys;                        // read from where the configuration says
  std::vector<v1::Agent> agents;    // of the files in config.agents
};

// `file` empty: all defaults, relative to the working folder. INVALID_ARGUMENT with one line for each fault, `file:line:column: path: what is wrong and what
// to do`; NOT_FOUND if there is no such file.
absl::StatusOr<LoadedConfig> LoadConfig(const std::string& file, const ConfigOverrides& overrides);

// The same, unchecked but for its form: without keys, agents and other files that it names.
absl::StatusOr<config::v1::ServerConfig> ReadConfig(const std::string& file, const ConfigOverrides& overrides);

// The configuration as YAML that LoadConfig reads again. Holds no secret: keys stand elsewhere, only their place is named.
std::string PrintConfig(const config::v1::ServerConfig& config);

// A text file of at most 1 MiB. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (too large, or no file); messages are sentences with the path in them.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace agentruntime
