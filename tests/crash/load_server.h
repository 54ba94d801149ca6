// What the servers of the kill tests are configured with.
#pragma once

#include <string>
#include <vector>

#include "agentruntime/v1/agent.pb.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {

// A tool `http_call` that leads to `url`, or the calculator if that is empty.
struct LoadTool {
  std::string name = "calculator";
  std::string url = "";
  v1::SideEffect side_effect = v1::SIDE_EFFECT_READ_ONLY;
};

// agentd.yaml and the agent `agents/tester`: the model of an OpenAI-compatible provider at `base_url`, with these tools. Of a call whose outcome nobody knows
// the model is told.
void WriteLoadConfig(const TestServer& server, const std::string& base_url, const std::vector<LoadTool>& tools = {LoadTool()});

}  // namespace agentruntime::testing
