#include "clients/cli/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace agentruntime::cli {
namespace {

// A signal handler may only write: one byte a signal, and one of another value to end the thread.
int g_pipe[2] = {-1, -1};
constexpr char kSignal = 's';
constexpr char kEnd = 'e';

void Write(char what) {
  const int saved = errno;
  [[maybe_unused]] const ssize_t written = write(g_pipe[1], &what, 1);
  errno = saved;
}

void OnSignal(int) { Write(kSignal); }

}  // namespace

Interrupt::Interrupt(std::function<void()> on_interrupt) {
  if (pipe2(g_pipe, O_CLOEXEC) != 0) return;  // Ctrl-C then ends the process, as ever
  thread_ = std::thread([call = std::move(on_interrupt)] {
    char what = 0;
    while (read(g_pipe[0], &what, 1) < 0 && errno == EINTR) {
    }
    if (what == kSignal) call();
  });
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

Interrupt::~Interrupt() {
  if (!thread_.joinable()) return;
  signal(SIGINT, SIG_DFL);
  Write(kEnd);
  thread_.join();
  close(g_pipe[0]);
  close(g_pipe[1]);
}

}  // namespace agentruntime::cli
