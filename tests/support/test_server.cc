#include "tests/support/test_server.h"

#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

extern char** environ;

namespace agentruntime::testing {
namespace {

constexpr absl::Duration kStartMax = absl::Seconds(30);
constexpr absl::Duration kEndMax = absl::Seconds(60);
constexpr absl::Duration kPoll = absl::Milliseconds(2);
constexpr int kBySignal = 128;

constexpr char kConfig[] = R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
sessions: {threads: 2}
models: [{name: script, scripted: {file: script.json}}, {name: extractive, extractive: {}}]
tools: [{name: calculator, calculator: {}}, {name: clock, clock: {}}]
agents: [tester.yaml]
node: test-node
drain_grace: 5s
)";

constexpr char kAgent[] = R"(name: tester
model: script
tools: [calculator]
)";

// What the model says depends on a word in the input.
constexpr char kScript[] = R"({"rules": [
  {"input_contains": "hang", "steps": [{"delay": "30m", "text": ["late"]}]},
  {"input_contains": "pause", "steps": [{"delay": "1s", "text": ["later"]}]},
  {"input_contains": "loop", "steps": [{"repeat": 1000, "calls": [{"tool": "calculator", "arguments": {"expression": "{step}+1"}}]}]},
  {"input_contains": "long", "steps": [{"repeat": 20, "delay": "20ms", "calls": [{"tool": "calculator", "arguments": {"expression": "2*{step}"}}]},
                                       {"text": ["done"]}]},
  {"input_contains": "", "steps": [{"calls": [{"tool": "calculator", "arguments": {"expression": "1+1"}}]}, {"text": ["It ", "is 2."]}]}
]})";

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

pid_t Spawn(const std::string& folder, const std::vector<std::string>& arguments, const std::map<std::string, std::string>& variables, const std::string& out,
            const std::string& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  std::string program = AGENTRUNTIME_AGENTD;
  std::vector<std::string> words = arguments;
  std::vector<char*> argv = {program.data()};
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> settings;
  for (const auto& [name, value] : variables) settings.push_back(absl::StrCat(name, "=", value));
  for (char** own = environ; *own != nullptr; ++own) {
    if (const std::string setting = *own; !variables.contains(setting.substr(0, setting.find('=')))) settings.push_back(setting);
  }
  std::vector<char*> environment;
  for (std::string& setting : settings) environment.push_back(setting.data());
  environment.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(error, 0) << program;
  return error == 0 ? pid : -1;
}

// -1 if it has not ended in time.
int AwaitEnd(pid_t pid, absl::Duration most) {
  const absl::Time deadline = absl::Now() + most;
  for (;;) {
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : kBySignal + WTERMSIG(status);
    if (absl::Now() > deadline) return -1;
    absl::SleepFor(kPoll);
  }
}

}  // namespace

Ended RunAgentd(const std::string& folder, const std::vector<std::string>& arguments) {
  const TempDir output;
  Ended ended;
  const pid_t pid = Spawn(folder, arguments, {}, output.File("out"), output.File("err"));
  if (pid < 0) return ended;
  ended.exit_code = AwaitEnd(pid, kStartMax);
  if (ended.exit_code == -1) {
    ADD_FAILURE() << "agentd has not ended";
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  ended.out = ReadAll(output.File("out"));
  ended.err = ReadAll(output.File("err"));
  return ended;
}

TestServer::TestServer(const std::string& more) {
  Write("agentd.yaml", absl::StrCat(kConfig, more));
  Write("tester.yaml", kAgent);
  Write("script.json", kScript);
}

TestServer::~TestServer() {
  if (running()) Kill();
  if (::testing::Test::HasFailure()) std::cerr << "agentd said:\n" << Log();
}

void TestServer::Write(const std::string& name, const std::string& text) const { std::ofstream(File(name)) << text; }

void TestServer::Start(const std::vector<std::string>& more) {
  const std::string port_file = File("port");
  std::filesystem::remove(port_file);
  std::vector<std::string> arguments = {"--config", "agentd.yaml", "--port-file", "port"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  pid_ = Spawn(dir_.path(), arguments, variables_, File("out"), File("log"));
  const absl::Time deadline = absl::Now() + kStartMax;
  while (!std::filesystem::exists(port_file)) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      FAIL() << "agentd ended as it started:\n" << Log();
    }
    if (absl::Now() > deadline) FAIL() << "agentd does not serve:\n" << Log();
    absl::SleepFor(kPoll);
  }
  address_ = std::string(absl::StripSuffix(ReadAll(port_file), "\n"));
}

void TestServer::Send(int signal) {
  ASSERT_TRUE(running());  // -1 would be every process there is
  ASSERT_EQ(kill(pid_, signal), 0);
}

int TestServer::WaitForEnd() {
  const int code = AwaitEnd(pid_, kEndMax);
  if (code != -1) pid_ = -1;
  return code;
}

void TestServer::Kill() {
  if (!running()) return;  // it ended by itself, which Start or WaitForEnd has told; -1 would be every process there is
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::shared_ptr<grpc::Channel> TestServer::Connect() const {
  // Channels of the same arguments share a connection; a test that asks for one of its own gets it.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  return grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
}

std::string TestServer::Log() const { return ReadAll(File("log")); }

bool TestServer::WaitForLog(const std::string& text) const {
  for (const absl::Time until = absl::Now() + kStartMax; absl::Now() < until; absl::SleepFor(kPoll)) {
    if (Log().find(text) != std::string::npos) return true;
  }
  return false;
}

}  // namespace agentruntime::testing
