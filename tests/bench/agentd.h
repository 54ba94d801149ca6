// A real agentd for one benchmark: its own folder, loopback, port 0, full durability.
#pragma once

#include <memory>
#include <string>

#include "tests/bench/server_process.h"

namespace agentruntime::bench {

// Of the server's pool, on whatever machine: figures of machines with more cores would compare with none.
inline constexpr int kThreads = 2;

struct AgentdOptions {
  std::string program;
  std::string folder;                                   // exists
  std::string script;                                   // JSON of the scripted model behind the agent `bench`
  std::string model = "scripted: {file: script.json}";  // the agent's model, as agentd.yaml says it
  std::string tool = "calculator: {}";                  // the agent's one tool, as agentd.yaml says it
  std::string sessions;                                 // of agentd.yaml's sessions, beside their threads: kThreads
  std::string more_settings;                            // lines of agentd.yaml
  std::string agent_settings;                           // lines of the agent's file
};

// The model of the example run: it decides twice and calls the calculator once.
extern const char kExampleScript[];

// Starts it over what is in the folder, which may be the store of an earlier one.
std::unique_ptr<ServerProcess> StartAgentd(const AgentdOptions& options);

}  // namespace agentruntime::bench
