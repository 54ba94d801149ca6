// The methods of RunService as coroutines: check, call the runtime, shape the answer. One file each; none knows gRPC. `backend` outlives them.
#pragma once

#include <google/protobuf/empty.pb.h>

#include <boost/asio/awaitable.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agentruntime/v1/run_service.pb.h"
#include "server/rpc/backend.h"
#include "server/rpc/response_stream.h"

namespace agentruntime::rpc {

template <typename Response>
using Answer = boost::asio::awaitable<absl::StatusOr<Response>>;

Answer<v1::Run> CreateRun(const Backend& backend, v1::CreateRunRequest request, Caller caller);
Answer<v1::Run> GetRun(const Backend& backend, v1::GetRunRequest request);
Answer<v1::ListRunsResponse> ListRuns(const Backend& backend, v1::ListRunsRequest request, Caller caller);
Answer<v1::Run> CancelRun(const Backend& backend, v1::CancelRunRequest request, Caller caller);
Answer<v1::Run> ResumeRun(const Backend& backend, v1::ResumeRunRequest request, Caller caller);
Answer<v1::Run> SendInput(const Backend& backend, v1::SendInputRequest request, Caller caller);
Answer<v1::Run> ForkRun(const Backend& backend, v1::ForkRunRequest request, Caller caller);
Answer<v1::Run> ResolveCall(const Backend& backend, v1::ResolveCallRequest request, Caller caller);
Answer<google::protobuf::Empty> DeleteRun(const Backend& backend, v1::DeleteRunRequest request);
Answer<v1::ListStepsResponse> ListSteps(const Backend& backend, v1::ListStepsRequest request);
Answer<v1::Step> GetStep(const Backend& backend, v1::GetStepRequest request);
Answer<v1::ReadArtifactResponse> ReadArtifact(const Backend& backend, v1::ReadArtifactRequest request);
Answer<v1::ListEventsResponse> ListEvents(const Backend& backend, v1::ListEventsRequest request);

boost::asio::awaitable<absl::Status> RunAgent(const Backend& backend, v1::RunAgentRequest request, Caller caller, ResponseStream& stream);
// Of WatchRun. What it says is sent by Follow (watch_run.h).
boost::asio::awaitable<absl::StatusOr<std::unique_ptr<Watch>>> OpenWatch(const Backend& backend, v1::WatchRunRequest request);

}  // namespace agentruntime::rpc
