#include "runtime/agent_catalog.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"

namespace agentruntime {
namespace {

// Agents over this are read from the store at each use.
constexpr size_t kPlansMax = 1000;

}  // namespace

absl::StatusOr<std::unique_ptr<AgentCatalog>> AgentCatalog::Make(const Environment& environment) {
  std::unique_ptr<AgentCatalog> catalog(new AgentCatalog(environment));
  for (const auto& [name, model] : environment.models) catalog->offer_.models[name] = model->info().required_tool;
  for (const auto& [name, tool] : environment.tools) {
    catalog->offer_.tools.push_back(name);
    auto schema = JsonSchema::Compile(tool->spec().input_schema);
    if (!schema.ok()) return absl::InvalidArgumentError(absl::StrCat("tool \"", name, "\": its input schema: ", std::string(schema.status().message())));
    catalog->schemas_[name] = std::make_shared<const JsonSchema>(*std::move(schema));
  }
  return catalog;
}

std::shared_ptr<const RunPlan> AgentCatalog::Plan(v1::Agent agent) const {
  auto plan = std::make_shared<RunPlan>();
  if (const auto model = environment_.models.find(agent.model()); model != environment_.models.end()) plan->model = model->second;
  if (const auto price = environment_.prices.find(agent.model()); price != environment_.prices.end()) plan->price = price->second;
  for (const std::string& name : agent.tools()) {
    const auto tool = environment_.tools.find(name);
    if (tool == environment_.tools.end()) continue;
    plan->tools[name] = PlannedTool{tool->second, std::shared_ptr<const ToolSpec>(tool->second, &tool->second->spec()),
                                    [schema = schemas_.at(name)](absl::string_view arguments) { return schema->Check(arguments); }};
  }
  plan->agent = std::make_shared<const v1::Agent>(std::move(agent));
  return plan;
}

void AgentCatalog::Remember(const std::shared_ptr<const RunPlan>& plan, bool newest) {
  MutexLock lock(mu_);
  if (revisions_.size() >= kPlansMax) revisions_.clear();
  if (newest_.size() >= kPlansMax) newest_.clear();
  revisions_[plan->agent->revision()] = plan;
  if (!newest) return;
  // Reads and writes may overtake each other on their way here: the higher revision is the newer one.
  const auto revision = ParseAgentName(plan->agent->revision());
  auto& known = newest_[revision->agent];
  if (known == nullptr || ParseAgentName(known->agent->revision())->revision <= revision->revision) known = plan;
}

std::shared_ptr<const RunPlan> AgentCatalog::Find(const AgentName& name) {
  MutexLock lock(mu_);
  if (name.revision == 0) {
    const auto found = newest_.find(name.agent);
    return found == newest_.end() ? nullptr : found->second;
  }
  const auto found = revisions_.find(FormatRevisionName(name.agent, name.revision));
  return found == revisions_.end() ? nullptr : found->second;
}

absl::StatusOr<std::shared_ptr<const RunPlan>> AgentCatalog::Load(const AgentName& name) {
  if (auto plan = Find(name)) return plan;
  ASSIGN_OR_RETURN(v1::Agent agent, environment_.agents->Get(name.agent, name.revision));
  auto plan = Plan(std::move(agent));
  Remember(plan, /*newest=*/name.revision == 0);
  return plan;
}

absl::StatusOr<v1::Agent> AgentCatalog::Create(const v1::Agent& agent) {
  RETURN_IF_ERROR(CheckUsable(agent));
  ASSIGN_OR_RETURN(v1::Agent created, environment_.agents->Create(agent, environment_.clock->Now()));
  Remember(Plan(created), /*newest=*/true);
  return created;
}

absl::StatusOr<v1::Agent> AgentCatalog::Update(const v1::Agent& agent, bool allow_missing) {
  RETURN_IF_ERROR(CheckUsable(agent));
  ASSIGN_OR_RETURN(v1::Agent updated, environment_.agents->Update(agent, allow_missing, environment_.clock->Now()));
  Remember(Plan(updated), /*newest=*/true);
  return updated;
}

}  // namespace agentruntime
