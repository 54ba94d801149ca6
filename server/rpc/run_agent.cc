#include <memory>
#include <utility>

#include "proto/base/status.h"
#include "server/rpc/create_run.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/watch_run.h"

namespace agentruntime::rpc {

boost::asio::awaitable<absl::Status> RunAgent(const Backend& backend, v1::RunAgentRequest request, Caller caller, ResponseStream& stream) {
  const bool has_run = request.has_run();
  CO_ASSIGN_OR_RETURN(CreateRequest create, ToCreateRequest(has_run, std::move(*request.mutable_run()), request.request_id()));
  CO_ASSIGN_OR_RETURN(std::unique_ptr<Watch> watch, co_await backend.runtime->RunAgent(std::move(create), std::move(caller), request.include_deltas()));
  co_return co_await Follow(std::move(watch), stream);
}

}  // namespace agentruntime::rpc
