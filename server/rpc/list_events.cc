#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/limits.h"
#include "server/rpc/page_token.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

Answer<v1::ListEventsResponse> ListEvents(const Backend& backend, v1::ListEventsRequest request) {
  FieldChecks checks;
  const RunId run = CheckRunName(checks, "parent", request.parent());
  const int32_t page_size = CheckPageSize(checks, request.page_size());
  if (request.after_sequence() < 0) checks.Add("after_sequence", "is negative; give the last sequence you have, or 0 for all");
  CO_RETURN_IF_ERROR(checks.status());
  const std::string query = QueryOf(request);
  CO_ASSIGN_OR_RETURN(const std::string key, DecodePageToken(request.page_token(), backend.store_id, query));
  Sequence after = request.after_sequence();
  if (!key.empty() && (!absl::SimpleAtoi(key, &after) || after < 0)) co_return PageTokenInvalid();

  CO_ASSIGN_OR_RETURN(const auto events, co_await backend.runtime->ListEvents(run, after, {.events_max = page_size, .bytes_max = kPageBytesMax}));
  v1::ListEventsResponse response;
  for (const EventPtr& event : events) *response.add_events() = *event;
  if (events.empty()) co_return response;
  // A read ends at its bounds or at the end of the journal and does not say which: ask for one more.
  const Sequence last = events.back()->sequence();
  CO_ASSIGN_OR_RETURN(const auto next, co_await backend.runtime->ListEvents(run, last, {.events_max = 1, .bytes_max = 1}));
  if (!next.empty()) response.set_next_page_token(EncodePageToken(backend.store_id, query, absl::StrCat(last)));
  co_return response;
}

}  // namespace agentruntime::rpc
