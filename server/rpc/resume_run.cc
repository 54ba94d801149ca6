#include <utility>

#include "proto/base/status.h"
#include "proto/util/limits.h"
#include "server/rpc/hash.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

Answer<v1::Run> ResumeRun(const Backend& backend, v1::ResumeRunRequest request, Caller caller) {
  FieldChecks checks;
  const RunId run = CheckRunName(checks, "name", request.name());
  CheckLimits(checks, "limits", request.limits());
  CheckParts(checks, "input", request.input(), kInputBytesMax);
  std::optional<absl::Time> deadline;
  if (request.has_deadline()) deadline = CheckTime(checks, "deadline", request.deadline());
  CheckRequestId(checks, "request_id", request.request_id());
  CO_RETURN_IF_ERROR(checks.status());
  ResumeRequest resume;
  TakeRequestId(request, resume);
  resume.deadline = deadline;
  resume.limits = std::move(*request.mutable_limits());
  resume.input.assign(std::make_move_iterator(request.mutable_input()->begin()), std::make_move_iterator(request.mutable_input()->end()));
  co_return co_await backend.runtime->ResumeRun(run, std::move(resume), std::move(caller));
}

}  // namespace agentruntime::rpc
