#include "tests/crash/load_server.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace agentruntime::testing {

void WriteLoadConfig(const TestServer& server, const std::string& base_url, const std::vector<LoadTool>& tools) {
  std::string entries;
  for (const LoadTool& tool : tools) {
    absl::StrAppend(&entries, "  - name: ", tool.name, "\n");
    if (tool.url.empty()) {
      absl::StrAppend(&entries, "    calculator: {}\n");
      continue;
    }
    absl::StrAppend(&entries, "    http_call:\n      url: ", tool.url,
                    "\n      description: writes down that it was called\n      side_effect: ", v1::SideEffect_Name(tool.side_effect), "\n");
  }
  server.Write("agentd.yaml", absl::StrCat(R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
sessions: {threads: 2}
models: [{name: provider, openai: {base_url: ")",
                                           base_url, R"(", model: m}}]
agents: [tester.yaml]
tools:
)",
                                           entries));
  const std::string names = absl::StrJoin(tools, ", ", [](std::string* out, const LoadTool& tool) { absl::StrAppend(out, tool.name); });
  server.Write("tester.yaml", absl::StrCat("name: tester\nmodel: provider\ntools: [", names, "]\nlimits: {max_steps: 50}\non_uncertain_call: REPORT\n"));
}

}  // namespace agentruntime::testing
