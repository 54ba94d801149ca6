#include "tests/bench/agentd.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/bench/fail.h"

namespace agentruntime::bench {
namespace {

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) Fail(absl::StrCat("cannot write ", path));
}

constexpr char kSettings[] = R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: bench.db}}
agents: [bench.yaml]
log: {level: warn}
)";

constexpr char kAgent[] = R"(name: bench
model: model
tools: [tool]
)";

}  // namespace

const char kExampleScript[] = R"({"steps":[
  {"calls":[{"tool":"tool","arguments":{"expression":"6*7"}}]},
  {"text":["The answer is 42."]}]}
)";

std::unique_ptr<ServerProcess> StartAgentd(const AgentdOptions& options) {
  const std::string settings = options.folder + "/agentd.yaml";
  WriteFile(options.folder + "/script.json", options.script);
  const std::string sessions = absl::StrCat("sessions: {threads: ", kThreads, options.sessions.empty() ? "" : ", ", options.sessions, "}\n");
  WriteFile(settings, absl::StrCat(kSettings, sessions, "models: [{name: model, ", options.model, "}]\ntools: [{name: tool, ", options.tool, "}]\n",
                                   options.more_settings));
  WriteFile(options.folder + "/bench.yaml", absl::StrCat(kAgent, options.agent_settings));
  return std::make_unique<ServerProcess>(std::vector<std::string>{options.program, "--config", settings}, options.folder + "/port");
}

}  // namespace agentruntime::bench
