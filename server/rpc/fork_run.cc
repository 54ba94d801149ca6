#include <utility>

#include "proto/base/status.h"
#include "proto/util/limits.h"
#include "server/rpc/hash.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

Answer<v1::Run> ForkRun(const Backend& backend, v1::ForkRunRequest request, Caller caller) {
  FieldChecks checks;
  ForkRequest fork;
  fork.source = CheckRunName(checks, "name", request.name());
  if (request.step() < 0) checks.Add("step", "is below 0; give the number of the last step to share, or 0 for the input alone");
  if (!request.agent().empty()) CheckAgentName(checks, "agent", request.agent());
  CheckLimits(checks, "limits", request.limits());
  CheckParts(checks, "input", request.input(), kInputBytesMax);
  CheckLabels(checks, "labels", request.labels());
  if (request.has_deadline()) fork.deadline = CheckTime(checks, "deadline", request.deadline());
  CheckRequestId(checks, "request_id", request.request_id());
  CO_RETURN_IF_ERROR(checks.status());
  TakeRequestId(request, fork);
  fork.step = request.step();
  fork.agent = std::move(*request.mutable_agent());
  fork.limits = std::move(*request.mutable_limits());
  fork.input.assign(std::make_move_iterator(request.mutable_input()->begin()), std::make_move_iterator(request.mutable_input()->end()));
  fork.labels.insert(request.labels().begin(), request.labels().end());
  fork.allow_side_effects = request.allow_side_effects();
  co_return co_await backend.runtime->ForkRun(std::move(fork), std::move(caller));
}

}  // namespace agentruntime::rpc
