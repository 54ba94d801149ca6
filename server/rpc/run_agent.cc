#include <utility>

#include "proto/base/status.h"
#include "proto/util/names.h"
#include "server/rpc/create_run.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/watch_run.h"

namespace agentruntime::rpc {

boost::asio::awaitable<absl::Status> RunAgent(const Backend& backend, v1::RunAgentRequest request, Caller caller, ResponseStream& stream) {
  const bool has_run = request.has_run();
  CO_ASSIGN_OR_RETURN(CreateRequest create, ToCreateRequest(backend, has_run, std::move(*request.mutable_run()), request.request_id()));
  CO_ASSIGN_OR_RETURN(const v1::Run run, co_await backend.runtime->CreateRun(std::move(create), std::move(caller)));
  const auto id = ParseRunName(run.name());
  if (!id) co_return absl::InternalError("the runtime made a run without a name");
  co_return co_await Follow(backend, *id, 0, request.include_deltas(), stream);
}

}  // namespace agentruntime::rpc
