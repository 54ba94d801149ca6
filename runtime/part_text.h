// What a model reads of a part.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "agentruntime/v1/content.pb.h"

namespace agentruntime {

// The text or JSON; of an artifact its beginning, unless that was cleared, and a line that says how much there is and how to read more. `artifact_reader`: the
// agent's tool that does; empty: it has none.
std::string PartText(const v1::Part& part, absl::string_view artifact_reader);

}  // namespace agentruntime
