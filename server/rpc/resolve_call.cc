#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/limits.h"
#include "server/rpc/hash.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {
namespace {

void CheckReason(FieldChecks& checks, absl::string_view field, const std::string& reason) {
  if (reason.size() > static_cast<size_t>(kCauseBytesMax)) checks.Add(field, absl::StrCat(reason.size(), " bytes are too many; at most ", kCauseBytesMax));
}

void CheckAnswer(FieldChecks& checks, const v1::CallAnswer& answer) {
  switch (answer.kind_case()) {
    case v1::CallAnswer::kRunAgain: return;
    case v1::CallAnswer::kResult:
      if (answer.result().parts().empty()) return checks.Add("answer.result.parts", "is empty; give what the model is to read");
      return CheckParts(checks, "answer.result.parts", answer.result().parts(), kResultBytesMax);
    case v1::CallAnswer::kGiveUp: return CheckReason(checks, "answer.give_up.reason", answer.give_up().reason());
    case v1::CallAnswer::kAllow:
      // Whether they fit the tool is the runtime's to say.
      if (static_cast<int64_t>(answer.allow().arguments().size()) > kArgumentsBytesMax) {
        checks.Add("answer.allow.arguments", absl::StrCat(answer.allow().arguments().size(), " bytes are too many; at most ", kArgumentsBytesMax));
      }
      return;
    case v1::CallAnswer::kDeny: return CheckReason(checks, "answer.deny.reason", answer.deny().reason());
    case v1::CallAnswer::KIND_NOT_SET: return checks.Add("answer", "is missing; give one of run_again, result, give_up, allow, deny");
  }
}

}  // namespace

Answer<v1::Run> ResolveCall(const Backend& backend, v1::ResolveCallRequest request, Caller caller) {
  FieldChecks checks;
  const RunId run = CheckRunName(checks, "name", request.name());
  const auto call = CallId::Parse(request.call_id());
  if (!call) checks.Add("call_id", "is not the id of a call, {step}.{index}, such as 3.2; take it from the run's waiting_calls");
  CheckAnswer(checks, request.answer());
  CheckRequestId(checks, "request_id", request.request_id());
  CO_RETURN_IF_ERROR(checks.status());
  ResolveRequest resolve;
  resolve.call = *call;
  TakeRequestId(request, resolve);
  resolve.answer = std::move(*request.mutable_answer());
  co_return co_await backend.runtime->ResolveCall(run, std::move(resolve), std::move(caller));
}

}  // namespace agentruntime::rpc
