// The real agentd in a folder of its own, on a free port.
#pragma once

#include <grpcpp/channel.h>
#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace agentruntime::testing {

// What a program that ended had to say.
struct Ended {
  int exit_code = -1;  // 128 + the signal if one ended it
  std::string out;
  std::string err;
};

// Runs agentd to its end, in `folder`; fails the test if it has not ended after 30 s.
Ended RunAgentd(const std::string& folder, const std::vector<std::string>& arguments);

// Not thread-safe. A server that still runs at the end is killed.
class TestServer {
 public:
  // A configuration with a scripted model `script`, the tools calculator and clock, and the agent `agents/tester`; see test_server.cc. `more` is appended.
  explicit TestServer(const std::string& more = "");
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  // Of the environment of each later Start, beside that of the test.
  void SetVariable(const std::string& name, const std::string& value) { variables_[name] = value; }
  // Returns once it serves; fails the test if it does not within 30 s. `more`: arguments beside the usual ones.
  void Start(const std::vector<std::string>& more = {});
  void Send(int signal);
  // Waits for the end of the process and returns its exit code, or 128 + the signal that ended it; -1 after 60 s.
  int WaitForEnd();
  // SIGKILL, and its end.
  void Kill();

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  // host:port of the last Start.
  const std::string& address() const { return address_; }
  // A new connection.
  std::shared_ptr<grpc::Channel> Connect() const;
  const std::string& folder() const { return dir_.path(); }
  std::string File(const std::string& name) const { return dir_.File(name); }
  void Write(const std::string& name, const std::string& text) const;
  // Everything that it said on standard error, of all its lives.
  std::string Log() const;
  // False if it has not said `text` within 30 s.
  bool WaitForLog(const std::string& text) const;

 private:
  TempDir dir_;
  pid_t pid_ = -1;
  std::string address_;
  std::map<std::string, std::string> variables_;
};

}  // namespace agentruntime::testing
