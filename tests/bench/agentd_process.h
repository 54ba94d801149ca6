// A real agentd for one benchmark: its own folder, loopback, port 0.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/time/time.h"

namespace agentruntime::bench {

class AgentdProcess {
 public:
  // Starts `program` with the example agent `bench`: a scripted model that decides twice and calls the calculator once. Exits the process with a
  // sentence where that fails. `folder` exists and is kept.
  AgentdProcess(const std::string& program, const std::string& folder);
  // SIGTERM, and waits.
  ~AgentdProcess();
  AgentdProcess(const AgentdProcess&) = delete;
  AgentdProcess& operator=(const AgentdProcess&) = delete;

  const std::string& address() const { return address_; }
  // User and system time so far.
  absl::Duration CpuTime() const;
  // Resident memory.
  double RssMiB() const;

 private:
  pid_t pid_ = 0;
  std::string address_;
};

}  // namespace agentruntime::bench
