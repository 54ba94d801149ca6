// SIGTERM and SIGINT: the first drains, the second ends the process at once (which is a crash, and therefore safe).
#pragma once

#include <functional>
#include <memory>

namespace agentruntime {

// One at a time in a process. `on_first(signal)` is called on a thread of this object; none is after the destructor.
class Signals {
 public:
  explicit Signals(std::function<void(int signal)> on_first);
  ~Signals();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace agentruntime
