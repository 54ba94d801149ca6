// Streams of a run over gRPC, for Watch.
#pragma once

#include <memory>
#include <string>

#include "agentruntime/v1/run_service.pb.h"
#include "clients/cpp/watch.h"

namespace grpc {
class Channel;
}

namespace agentruntime::client {

// WatchRun of `name`, `runs/{run}`.
std::unique_ptr<WatchSource> WatchRunSource(std::shared_ptr<grpc::Channel> channel, std::string name, bool include_deltas);

// RunAgent: makes the run and follows it in one call. A request id is made up if `request` has none, so that opening it again attaches to the same run;
// as soon as the run's name is known, streams are WatchRun's.
std::unique_ptr<WatchSource> RunAgentSource(std::shared_ptr<grpc::Channel> channel, v1::RunAgentRequest request);

}  // namespace agentruntime::client
