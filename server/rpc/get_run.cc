#include "proto/base/status.h"
#include "proto/util/limits.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

Answer<v1::Run> GetRun(const Backend& backend, v1::GetRunRequest request) {
  FieldChecks checks;
  const RunId run = CheckRunName(checks, "name", request.name());
  absl::Duration wait;
  if (request.has_wait()) wait = CheckDuration(checks, "wait", request.wait(), absl::ZeroDuration(), kWaitMax);
  CO_RETURN_IF_ERROR(checks.status());
  co_return co_await backend.runtime->GetRun(run, wait);
}

}  // namespace agentruntime::rpc
