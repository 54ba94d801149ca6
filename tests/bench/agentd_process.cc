#include "tests/bench/agentd_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace agentruntime::bench {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(30);

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "run_bench: %s\n", what.c_str());
  std::exit(1);
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) Fail(absl::StrCat("cannot write ", path));
}

constexpr char kScript[] = R"({"rules":[{"steps":[
  {"calls":[{"tool":"calculator","arguments":{"expression":"6*7"}}]},
  {"text":["The answer is 42."]}]}]}
)";

constexpr char kConfig[] = R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: bench.db}}
models: [{name: script, scripted: {file: script.json}}]
tools: [{name: calculator, calculator: {}}]
agents: [bench.yaml]
log: {level: warn}
)";

constexpr char kAgent[] = R"(name: bench
model: script
tools: [calculator]
)";

}  // namespace

AgentdProcess::AgentdProcess(const std::string& program, const std::string& folder) {
  WriteFile(folder + "/script.json", kScript);
  WriteFile(folder + "/agentd.yaml", kConfig);
  WriteFile(folder + "/bench.yaml", kAgent);
  const std::string port_file = folder + "/port";
  unlink(port_file.c_str());
  pid_ = fork();
  if (pid_ < 0) Fail("cannot start a process");
  if (pid_ == 0) {
    const std::string config = folder + "/agentd.yaml";
    execl(program.c_str(), program.c_str(), "--config", config.c_str(), "--port-file", port_file.c_str(), nullptr);
    std::perror(program.c_str());
    _exit(127);
  }
  const absl::Time until = absl::Now() + kStartTimeout;
  while (address_.empty()) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) Fail(absl::StrCat(program, " ended at once; its message is above"));
    if (absl::Now() > until) Fail(absl::StrCat(program, " does not listen after ", absl::FormatDuration(kStartTimeout)));
    std::ifstream file(port_file);
    std::getline(file, address_);
    if (address_.empty()) absl::SleepFor(absl::Milliseconds(5));
  }
}

AgentdProcess::~AgentdProcess() {
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

absl::Duration AgentdProcess::CpuTime() const {
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

double AgentdProcess::RssMiB() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/statm"));
  int64_t size = 0;
  int64_t resident = 0;
  file >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

}  // namespace agentruntime::bench
