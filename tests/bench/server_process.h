// A server as a process of its own, with what the operating system knows of it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace agentruntime::bench {

class ServerProcess {
 public:
  // Starts `arguments` (the program first) with `--port-file FILE` behind them, and waits until it has written its address there. Exits the process with a
  // sentence where that fails.
  ServerProcess(std::vector<std::string> arguments, const std::string& port_file);
  // As End.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // SIGTERM, and waits for it to end; nothing if it has ended.
  void End() { Signal(15); }
  // SIGKILL.
  void Kill() { Signal(9); }

  const std::string& address() const { return address_; }
  absl::Time start_time() const { return start_time_; }    // before the fork
  absl::Time listen_time() const { return listen_time_; }  // when its address was there
  // User and system time so far.
  absl::Duration CpuTime() const;
  // Resident memory.
  int64_t RssBytes() const;

 private:
  void Signal(int signal);

  pid_t pid_ = 0;
  std::string address_;
  absl::Time start_time_;
  absl::Time listen_time_;
};

}  // namespace agentruntime::bench
