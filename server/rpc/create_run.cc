#include "server/rpc/create_run.h"

#include <utility>

#include "proto/base/status.h"
#include "server/rpc/hash.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

absl::StatusOr<CreateRequest> ToCreateRequest(bool has_run, v1::Run run, std::string request_id) {
  FieldChecks checks;
  if (has_run) {
    CheckNewRun(checks, "run", run);
  } else {
    checks.Add("run", "is missing; give a run with agent and input");
  }
  CheckRequestId(checks, "request_id", request_id);
  RETURN_IF_ERROR(checks.status());
  std::string hash = RequestHash(run);
  return CreateRequest{.run = std::move(run), .request_id = std::move(request_id), .request_hash = std::move(hash)};
}

Answer<v1::Run> CreateRun(const Backend& backend, v1::CreateRunRequest request, Caller caller) {
  const bool has_run = request.has_run();
  CO_ASSIGN_OR_RETURN(CreateRequest create, ToCreateRequest(has_run, std::move(*request.mutable_run()), request.request_id()));
  co_return co_await backend.runtime->CreateRun(std::move(create), std::move(caller));
}

}  // namespace agentruntime::rpc
