// Connections to a server under measurement.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agentruntime/v1/run_service.grpc.pb.h"

namespace agentruntime::bench {

using Stubs = std::vector<std::unique_ptr<v1::RunService::Stub>>;

// `count` stubs with a connection each.
Stubs Connect(const std::string& address, int count);

// A run of the agent `bench`.
v1::Run RunOfBench(const std::string& input);

}  // namespace agentruntime::bench
