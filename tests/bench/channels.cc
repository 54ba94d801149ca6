#include "tests/bench/channels.h"

#include <grpcpp/grpcpp.h>

namespace agentruntime::bench {

Stubs Connect(const std::string& address, int count) {
  Stubs stubs;
  for (int i = 0; i < count; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("bench.channel", i);  // channels with equal arguments would share one connection
    stubs.push_back(v1::RunService::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
  }
  return stubs;
}

v1::Run RunOfBench(const std::string& input) {
  v1::Run run;
  run.set_agent("agents/bench");
  run.add_input()->set_text(input);
  return run;
}

}  // namespace agentruntime::bench
