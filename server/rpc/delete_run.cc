#include "proto/base/status.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

Answer<google::protobuf::Empty> DeleteRun(const Backend& backend, v1::DeleteRunRequest request) {
  FieldChecks checks;
  const RunId run = CheckRunName(checks, "name", request.name());
  CO_RETURN_IF_ERROR(checks.status());
  CO_RETURN_IF_ERROR(co_await backend.runtime->DeleteRun(run));
  co_return google::protobuf::Empty();
}

}  // namespace agentruntime::rpc
