#include "clients/cli/commands/children.h"

#include <cstddef>

#include "absl/strings/str_cat.h"

namespace agentruntime::cli {
namespace {

constexpr size_t kRunsReadMax = 16;

// Children of the calls of `run` that are under way.
void AddChildren(const RunReads& reads, const v1::Run& run, std::vector<std::string>& names) {
  if (run.state() != v1::RUN_STATE_RUNNING || run.activity().call_id().empty()) return;
  const auto step = reads.step(absl::StrCat(run.name(), "/steps/", run.last_step()));
  if (!step.ok()) return;
  for (const v1::ToolCallRecord& call : step->tool_calls()) {
    if (call.outcome() == v1::CALL_OUTCOME_UNSPECIFIED && !call.child_run().empty()) names.push_back(call.child_run());
  }
}

}  // namespace

RunReads ReadsOf(Session& session) {
  return {.run = [&session](const std::string& name) { return session.runs.Get(name); },
          .step = [&session](const std::string& name) { return session.runs.GetStep(name); }};
}

std::vector<v1::Run> ChildrenThatWait(const RunReads& reads, const v1::Run& run) {
  std::vector<v1::Run> waiting;
  std::vector<std::string> names;
  AddChildren(reads, run, names);
  for (size_t i = 0; i < names.size() && i < kRunsReadMax; ++i) {
    auto child = reads.run(names[i]);
    if (!child.ok()) continue;
    AddChildren(reads, *child, names);
    if (!child->waiting_calls().empty()) waiting.push_back(*std::move(child));
  }
  return waiting;
}

}  // namespace agentruntime::cli
