#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/limits.h"
#include "server/rpc/hash.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

Answer<v1::Run> CancelRun(const Backend& backend, v1::CancelRunRequest request, Caller caller) {
  FieldChecks checks;
  const RunId run = CheckRunName(checks, "name", request.name());
  if (request.cause().size() > static_cast<size_t>(kCauseBytesMax)) {
    checks.Add("cause", absl::StrCat(request.cause().size(), " bytes are too many; at most ", kCauseBytesMax));
  }
  CheckRequestId(checks, "request_id", request.request_id());
  CO_RETURN_IF_ERROR(checks.status());
  CancelRequest cancel;
  TakeRequestId(request, cancel);
  cancel.cause = std::move(*request.mutable_cause());
  co_return co_await backend.runtime->CancelRun(run, std::move(cancel), std::move(caller));
}

}  // namespace agentruntime::rpc
