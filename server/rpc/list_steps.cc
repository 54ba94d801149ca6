#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/base/status.h"
#include "server/rpc/page.h"
#include "server/rpc/page_token.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

Answer<v1::ListStepsResponse> ListSteps(const Backend& backend, v1::ListStepsRequest request) {
  FieldChecks checks;
  const RunId run = CheckRunName(checks, "parent", request.parent());
  const int32_t page_size = CheckPageSize(checks, request.page_size());
  CO_RETURN_IF_ERROR(checks.status());
  const std::string query = QueryOf(request);
  CO_ASSIGN_OR_RETURN(const std::string key, DecodePageToken(request.page_token(), backend.store_id, query));
  StepCursor after;
  if (!key.empty()) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(key, absl::MaxSplits(':', 1));
    if (!absl::SimpleAtoi(parts.first, &after.number) || !absl::SimpleAtoi(parts.second, &after.last_sequence) || after.last_sequence < 0) {
      co_return PageTokenInvalid();
    }
  }

  CO_ASSIGN_OR_RETURN(auto found, co_await backend.runtime->ListSteps(run, after, {.events_max = page_size, .bytes_max = kPageBytesMax}));
  auto& [steps, more] = found;
  v1::ListStepsResponse response;
  if (FillPage(std::move(steps), static_cast<size_t>(page_size), *response.mutable_steps())) more = true;
  if (more && response.steps_size() > 0) {
    const v1::Step& last = response.steps(response.steps_size() - 1);
    response.set_next_page_token(EncodePageToken(backend.store_id, query, absl::StrCat(last.number(), ":", last.last_sequence())));
  }
  co_return response;
}

Answer<v1::Step> GetStep(const Backend& backend, v1::GetStepRequest request) {
  FieldChecks checks;
  const StepName name = CheckStepName(checks, "name", request.name());
  CO_RETURN_IF_ERROR(checks.status());
  co_return co_await backend.runtime->GetStep(name.run, name.number);
}

}  // namespace agentruntime::rpc
