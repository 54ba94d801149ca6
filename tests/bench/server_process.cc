#include "tests/bench/server_process.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/bench/fail.h"

namespace agentruntime::bench {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(30);

// Those of this process that run. A benchmark that ends by std::exit takes them with it.
std::set<pid_t>& Running() {
  static auto& running = *new std::set<pid_t>;
  return running;
}

void KillRunning() {
  for (const pid_t pid : Running()) kill(pid, SIGKILL);
}

}  // namespace

ServerProcess::ServerProcess(std::vector<std::string> arguments, const std::string& port_file) {
  unlink(port_file.c_str());
  arguments.insert(arguments.end(), {"--port-file", port_file});
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  start_time_ = absl::Now();
  if (posix_spawn(&pid_, pointers[0], nullptr, nullptr, pointers.data(), environ) != 0) Fail(absl::StrCat("cannot start ", arguments[0]));
  if (Running().empty()) std::atexit(KillRunning);
  Running().insert(pid_);
  while (address_.empty()) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      Running().erase(pid_);
      Fail(absl::StrCat(arguments[0], " ended at once; its message is above"));
    }
    if (absl::Now() - start_time_ > kStartTimeout) Fail(absl::StrCat(arguments[0], " does not listen after ", absl::FormatDuration(kStartTimeout)));
    std::ifstream file(port_file);
    std::getline(file, address_);
    if (address_.empty()) absl::SleepFor(absl::Milliseconds(1));
  }
  listen_time_ = absl::Now();
}

ServerProcess::~ServerProcess() { End(); }

void ServerProcess::Signal(int signal) {
  if (pid_ == 0) return;
  kill(pid_, signal);
  waitpid(pid_, nullptr, 0);
  Running().erase(pid_);
  pid_ = 0;
}

absl::Duration ServerProcess::CpuTime() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/stat"));
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  // The second field is the name in parentheses, which may hold spaces.
  const std::vector<std::string> fields = absl::StrSplit(absl::string_view(all).substr(all.rfind(')') + 2), ' ');
  int64_t user = 0;
  int64_t system = 0;
  if (fields.size() < 13 || !absl::SimpleAtoi(fields[11], &user) || !absl::SimpleAtoi(fields[12], &system)) Fail("cannot read the server's CPU time");
  return absl::Seconds(static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

int64_t ServerProcess::RssBytes() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/statm"));
  int64_t size = 0;
  int64_t resident = 0;
  file >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace agentruntime::bench
