#include "tests/support/aimock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace agentruntime::testing {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);  // node on a busy machine
constexpr absl::string_view kListening = "listening on http://127.0.0.1:";

// The port in `log`, 0: not yet.
int FindPort(absl::string_view log) {
  const size_t at = log.find(kListening);
  if (at == absl::string_view::npos) return 0;
  const absl::string_view rest = log.substr(at + kListening.size());
  const size_t end = rest.find_first_not_of("0123456789");
  int port = 0;
  return end != absl::string_view::npos && absl::SimpleAtoi(rest.substr(0, end), &port) ? port : 0;
}

}  // namespace

Aimock::Aimock(const std::string& fixtures) {
  const char* const configured = std::getenv("AGENTRUNTIME_PEERS");
  const std::string peers = configured != nullptr ? configured : AGENTRUNTIME_PEERS_DIR;
  const std::string program = absl::StrCat(peers, "/node_modules/@copilotkit/aimock/dist/cli.js");
  const std::string file = absl::StrCat(peers, "/fixtures/", fixtures);
  if (!std::filesystem::exists(program)) {
    ADD_FAILURE() << program << " is missing: run npm ci --ignore-scripts --no-audit --no-fund in " << peers;
    return;
  }
  // Its log goes into memory: a pipe that nobody reads would stop it once it is full.
  log_ = memfd_create("aimock", MFD_CLOEXEC);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive a test that crashes
    if (getppid() != parent) _exit(1);
    dup2(log_, STDOUT_FILENO);
    dup2(log_, STDERR_FILENO);
    execlp("node", "node", program.c_str(), "-p", "0", "-f", file.c_str(), "--strict", "--log-level", "info", nullptr);
    _exit(127);
  }
  std::string log;
  const absl::Time deadline = absl::Now() + kStartTimeout;
  while (port_ == 0 && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));  // between two looks
    char bytes[4096];
    const ssize_t count = pread(log_, bytes, sizeof(bytes), 0);
    log.assign(bytes, count > 0 ? static_cast<size_t>(count) : 0);
    port_ = FindPort(log);
    if (port_ == 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;  // it ended by itself
      break;
    }
  }
  EXPECT_NE(port_, 0) << "aimock did not start: " << log;
}

Aimock::~Aimock() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (log_ >= 0) close(log_);
}

std::string Aimock::Url(absl::string_view target) const { return absl::StrCat("http://127.0.0.1:", port_, target); }

}  // namespace agentruntime::testing
