// Ctrl-C while a run is followed.
#pragma once

#include <functional>
#include <thread>

namespace agentruntime::cli {

// While it lives, the first SIGINT calls `on_interrupt` on a thread of its own; a second one ends the process. One at a time.
class Interrupt {
 public:
  explicit Interrupt(std::function<void()> on_interrupt);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

 private:
  std::thread thread_;
};

}  // namespace agentruntime::cli
