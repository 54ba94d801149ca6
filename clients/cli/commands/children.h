// What a run waits for through its children.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agentruntime/v1/run.pb.h"
#include "clients/cli/connect.h"

namespace agentruntime::cli {

// How a run and a step are read: RunClient's Get and GetStep.
struct RunReads {
  std::function<absl::StatusOr<v1::Run>(const std::string& name)> run;
  std::function<absl::StatusOr<v1::Step>(const std::string& name)> step;
};

RunReads ReadsOf(Session& session);

// The runs under `run`, in the order in which they are found, in which a call waits for a person: its children under way, theirs, and so on. They are looked at
// one by one, 16 at most; what cannot be read is passed over, and is in the way of nothing. None is read for a run that has no tool call under way.
std::vector<v1::Run> ChildrenThatWait(const RunReads& reads, const v1::Run& run);

}  // namespace agentruntime::cli
