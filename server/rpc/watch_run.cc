#include "server/rpc/watch_run.h"

#include <memory>
#include <utility>

#include "proto/base/status.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

boost::asio::awaitable<absl::Status> Follow(std::unique_ptr<Watch> watch, ResponseStream& stream) {
  stream.OnCancel([closed = watch.get()] { closed->Close(); });
  absl::Status status;
  for (;;) {
    absl::StatusOr<EncodedResponse> next = co_await watch->Next();
    if (!next.ok()) {
      status = std::move(next).status();
      break;
    }
    if (!*next) break;
    if (!co_await stream.Write(*std::move(next))) {
      status = absl::CancelledError("the client is gone");
      break;
    }
  }
  stream.OnCancel({});
  co_return status;
}

boost::asio::awaitable<absl::StatusOr<std::unique_ptr<Watch>>> OpenWatch(const Backend& backend, v1::WatchRunRequest request) {
  FieldChecks checks;
  const RunId run = CheckRunName(checks, "name", request.name());
  if (request.after_sequence() < 0) checks.Add("after_sequence", "is negative; give the last sequence you have, or 0 for all");
  CO_RETURN_IF_ERROR(checks.status());
  co_return co_await backend.runtime->WatchRun(run, request.after_sequence(), request.include_deltas());
}

}  // namespace agentruntime::rpc
