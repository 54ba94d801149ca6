// What calls that wait for a person want, with nothing left out.
#pragma once

#include "agentruntime/v1/run.pb.h"
#include "clients/cli/commands/children.h"

namespace agentruntime::cli {

// `run` with the whole text of each call that waits: the server's own is cut, and who allows a call has to see everything that it is made with. The arguments
// are those of the run's last step, which is read if a call waits. Where it cannot be read, the text ends with that.
v1::Run WithWholeTexts(const RunReads& reads, v1::Run run);

}  // namespace agentruntime::cli
