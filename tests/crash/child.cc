#include "tests/crash/child.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace agentruntime::testing {

int RunInChild(const std::function<void()>& live) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(kChildSecondsMax);
    const int silent = open("/dev/null", O_WRONLY);
    dup2(silent, STDERR_FILENO);
    live();
    _exit(0);
  }
  if (child < 0) abort();
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace agentruntime::testing
