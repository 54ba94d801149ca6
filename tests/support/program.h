// Runs a program and takes what it says.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace agentruntime::testing {

// A child process; its standard input is `input`, its output is taken as it comes. Killed if it still runs at the end. Not thread-safe.
class Program {
 public:
  // `variables` are added to the environment of the test. `terminal`: its output is a terminal of 100 columns, and standard error goes there too.
  struct Options {
    std::string input;
    std::vector<std::pair<std::string, std::string>> variables;
    bool terminal = false;
  };
  Program(const std::string& path, const std::vector<std::string>& arguments, const Options& options);
  Program(const std::string& path, const std::vector<std::string>& arguments);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void Send(int signal) const;
  // Reads until standard output contains `text`; false if it ended or 30 s passed before.
  bool ReadUntil(const std::string& text);
  // Reads to the end and returns the exit code, or 128 + the signal that ended it; -1 after 60 s.
  int Wait();

  const std::string& out() const { return out_; }
  const std::string& err() const { return err_; }

 private:
  // Takes what there is within `timeout`; false: both ends are closed.
  bool ReadSome(absl::Duration timeout);

  pid_t pid_ = -1;
  int out_fd_ = -1;
  int err_fd_ = -1;
  std::string out_;
  std::string err_;
};

}  // namespace agentruntime::testing
