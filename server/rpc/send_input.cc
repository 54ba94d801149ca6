#include <utility>

#include "proto/base/status.h"
#include "server/rpc/hash.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

Answer<v1::Run> SendInput(const Backend& backend, v1::SendInputRequest request, Caller caller) {
  FieldChecks checks;
  const RunId run = CheckRunName(checks, "name", request.name());
  CheckInput(checks, "input", request.input());
  CheckRequestId(checks, "request_id", request.request_id());
  CO_RETURN_IF_ERROR(checks.status());
  InputRequest input;
  TakeRequestId(request, input);
  input.input.assign(std::make_move_iterator(request.mutable_input()->begin()), std::make_move_iterator(request.mutable_input()->end()));
  co_return co_await backend.runtime->SendInput(run, std::move(input), std::move(caller));
}

}  // namespace agentruntime::rpc
