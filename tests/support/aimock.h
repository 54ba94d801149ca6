// The model provider's mock that others wrote (@copilotkit/aimock), as a child process on a free loopback port.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime::testing {

class Aimock {
 public:
  // Fails the test if it is not installed (tests/peers: npm ci) or does not start. `fixtures`: a file below tests/peers/fixtures.
  explicit Aimock(const std::string& fixtures);
  // Ends the process and waits for its end.
  ~Aimock();
  Aimock(const Aimock&) = delete;
  Aimock& operator=(const Aimock&) = delete;

  bool started() const { return port_ != 0; }
  std::string Url(absl::string_view target) const;  // http://127.0.0.1:PORT + target

 private:
  pid_t pid_ = -1;
  int log_ = -1;  // what it says, where it listens among it
  int port_ = 0;
};

}  // namespace agentruntime::testing
