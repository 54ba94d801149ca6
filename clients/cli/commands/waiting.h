// What calls that wait for a person want, with nothing left out.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "agentruntime/v1/run.pb.h"
#include "clients/cli/commands/children.h"

namespace agentruntime::cli {

// `run` with the whole text of each call that waits: the server's own is cut, and who allows a call has to see everything that it is made with. The arguments
// are those of the run's last step, which is read if a call waits. Where it cannot be read, the text ends with that.
v1::Run WithWholeTexts(const RunReads& reads, v1::Run run);

// Why `agentctl answer` is not for `call`, and what is: lines. Empty if the call asks a question, or does not wait: the server says that. A result settles any
// call, and one that waits for approval is then never made: somebody who means "yes" by it must learn that first.
std::string WhyNoAnswer(const v1::Run& run, const std::string& call, absl::string_view program);

}  // namespace agentruntime::cli
