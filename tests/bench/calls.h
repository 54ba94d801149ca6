// Calls that several workloads make.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agentruntime/v1/admin_service.grpc.pb.h"
#include "tests/bench/channels.h"

namespace agentruntime::bench {

class Admin {
 public:
  explicit Admin(const std::string& address);
  // Waits until the server answers.
  v1::ServerInfo Info() const;
  // Asks until `holds`; ends the process with `what` after `most`.
  void Await(const std::string& what, absl::Duration most, const std::function<bool(const v1::ServerInfo&)>& holds) const;

 private:
  std::unique_ptr<v1::AdminService::Stub> stub_;
};

// Submits `count` runs over all stubs, each with `input(i)`, so many at once that the server is never idle; returns their names in that order.
// `interval`: the least time from one submit to the next. `start_in`: how long after its submit each is to wait at least.
std::vector<std::string> CreateRuns(const Stubs& stubs, int count, const std::function<std::string(int)>& input, absl::Duration interval = absl::ZeroDuration(),
                                    absl::Duration start_in = absl::ZeroDuration());

// Blocks until the run has stopped, and returns it. Ends the process where it has no final answer.
v1::Run AwaitAnswer(v1::RunService::Stub& stub, const std::string& name);

// All events of a run.
std::vector<v1::Event> EventsOf(v1::RunService::Stub& stub, const std::string& name);

}  // namespace agentruntime::bench
