#include "tests/support/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/time/clock.h"

namespace agentruntime::testing {
namespace {

// A file that is gone as soon as it is closed: a pipe could fill up while nobody reads.
int InputFile(const std::string& text) {
  const int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()) || lseek(fd, 0, SEEK_SET) != 0) {
    ADD_FAILURE() << "cannot make the input";
  }
  return fd;
}

// Appends what can be read; closes at the end. A terminal ends with EIO.
void Take(int& fd, std::string& text) {
  char buffer[4096];
  const ssize_t bytes = read(fd, buffer, sizeof(buffer));
  if (bytes > 0) {
    text.append(buffer, static_cast<size_t>(bytes));
  } else if (bytes == 0 || errno != EINTR) {
    close(fd);
    fd = -1;
  }
}

}  // namespace

Program::Program(const std::string& path, const std::vector<std::string>& arguments) : Program(path, arguments, Options()) {}

Program::Program(const std::string& path, const std::vector<std::string>& arguments, const Options& options) {
  int out[2];
  int err[2];
  winsize size = {};
  size.ws_col = 100;
  size.ws_row = 40;
  const int made = options.terminal ? openpty(&out[0], &out[1], nullptr, nullptr, &size) : pipe2(out, O_CLOEXEC);
  if (made != 0 || pipe2(err, O_CLOEXEC) != 0) {
    ADD_FAILURE() << "cannot make pipes";
    return;
  }
  const int input = InputFile(options.input);
  std::vector<char*> argv = {const_cast<char*>(path.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> variables;  // made before the fork: other threads may hold the heap's lock then
  for (const auto& [name, value] : options.variables) variables.push_back(name + "=" + value);
  for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
  std::vector<char*> envp;
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(input, STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(options.terminal ? out[1] : err[1], STDERR_FILENO);
    close(out[0]);
    close(out[1]);
    execve(path.c_str(), argv.data(), envp.data());
    _exit(127);
  }
  close(input);
  close(out[1]);
  close(err[1]);
  out_fd_ = out[0];
  err_fd_ = err[0];
}

Program::~Program() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (out_fd_ >= 0) close(out_fd_);
  if (err_fd_ >= 0) close(err_fd_);
}

void Program::Send(int signal) const {
  if (pid_ > 0) kill(pid_, signal);  // -1 would be every process there is
}

bool Program::ReadSome(absl::Duration timeout) {
  pollfd fds[2] = {{out_fd_, POLLIN, 0}, {err_fd_, POLLIN, 0}};
  if (out_fd_ < 0 && err_fd_ < 0) return false;
  poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  if (out_fd_ >= 0 && fds[0].revents != 0) Take(out_fd_, out_);
  if (err_fd_ >= 0 && fds[1].revents != 0) Take(err_fd_, err_);
  return true;
}

bool Program::ReadUntil(const std::string& text) {
  const absl::Time end = absl::Now() + absl::Seconds(30);
  while (out_.find(text) == std::string::npos) {
    if (absl::Now() > end || !ReadSome(absl::Milliseconds(200))) return false;
  }
  return true;
}

int Program::Wait() {
  const absl::Time end = absl::Now() + absl::Seconds(60);
  while (ReadSome(absl::Milliseconds(200))) {
    if (absl::Now() > end) return -1;
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace agentruntime::testing
