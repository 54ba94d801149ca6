// What agentd's exit code says to a script or a supervisor. Numbers are those of sysexits.h.
#pragma once

#include <string>

namespace agentruntime {

enum class ExitCode {
  kDrained = 0,
  kUsage = 64,      // the command line
  kDamaged = 65,    // --doctor found something
  kStore = 74,      // the store cannot be opened or failed for good
  kInUse = 75,      // another process has the port or the store
  kBadConfig = 78,  // the configuration
};

// Why agentd does not start.
struct StartFailure {
  ExitCode code;
  std::string message;
};

}  // namespace agentruntime
