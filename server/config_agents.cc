#include "server/config_agents.h"

#include <map>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/util/yaml.h"
#include "runtime/limits.h"
#include "server/config.h"
#include "server/rpc/validate.h"

namespace agentruntime {
namespace {

std::optional<v1::Agent> ReadAgent(const std::string& path, const std::string& file, const config::v1::ServerConfig& config, const Offer& offer,
                                   ConfigFaults& faults) {
  const auto text = ReadTextFile(file);
  if (!text.ok()) {
    faults.Add(path, text.status().message());
    return std::nullopt;
  }
  v1::Agent agent;
  if (const absl::Status read = ReadYaml(file, *text, agent); !read.ok()) {
    faults.AddLine(std::string(read.message()));
    return std::nullopt;
  }
  if (!absl::StrContains(agent.name(), '/')) agent.set_name(absl::StrCat("agents/", agent.name()));
  rpc::FieldChecks checks;
  rpc::CheckAgent(checks, "agent", agent);
  for (const FieldViolation& above : AboveMaximum(agent.limits(), config.limits().maxima(), "agent.limits")) checks.Add(above.field, above.description);
  if (!agent.etag().empty()) checks.Add("agent.etag", "has no meaning in a file; leave it out");
  ConfigFaults own(file, *text);
  for (const FieldViolation& violation : checks.violations()) own.Add(absl::StripPrefix(violation.field, "agent."), violation.description);
  if (own.ok()) {
    for (const FieldViolation& violation : WhyUnusable(offer, agent)) own.Add(violation.field, violation.description);
  }
  if (own.ok()) return agent;
  faults.AddLine(std::string(own.status().message()));
  return std::nullopt;
}

}  // namespace

std::vector<v1::Agent> ReadAgents(const config::v1::ServerConfig& config, const Offer& offer, ConfigFaults& faults) {
  std::vector<v1::Agent> agents;
  std::map<std::string, std::string> files;
  for (int i = 0; i < config.agents_size(); ++i) {
    const std::string path = absl::StrCat("agents[", i, "]");
    auto agent = ReadAgent(path, config.agents(i), config, offer, faults);
    if (!agent) continue;
    const auto [first, is_new] = files.emplace(agent->name(), config.agents(i));
    if (!is_new) faults.Add(path, absl::StrCat(agent->name(), " is in ", first->second, " already; an agent has one file"));
    agents.push_back(*std::move(agent));
  }
  return agents;
}

}  // namespace agentruntime
