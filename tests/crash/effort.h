// How much a test of this folder does, from which seed, and where it writes down what it did.
//
// In the suite each test does its own small number. The long form is the same program with environment variables:
//   CRASH_COUNT    how many points, kills, cuts ...
//   CRASH_SEED     the seed, to see one run again; else a fresh one
//   CRASH_STRICT   1: figures of time are held against their bars, which only a machine that does nothing else can meet
//   CRASH_RESULTS  a file to which each test appends one line of JSON: test, date, build, seed, counts, figures, result
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace agentruntime::testing {

// One per test, for its length. Prints the seed at the beginning and the figures at the end.
class Effort {
 public:
  // `suite`: the count in the suite; `sanitized`: under a sanitizer. `what`: of what, in the plural.
  Effort(absl::string_view what, int64_t suite, int64_t sanitized);
  ~Effort();
  Effort(const Effort&) = delete;
  Effort& operator=(const Effort&) = delete;

  int64_t count() const { return count_; }
  uint64_t seed() const { return seed_; }
  bool strict() const { return strict_; }
  // How many times its bar a figure of time may be: 1 where that is asked for, else what a machine shared with others still meets.
  double leniency() const;

  void Figure(absl::string_view name, double value) { figures_.emplace_back(std::string(name), value); }

 private:
  const std::string what_;
  int64_t count_;
  uint64_t seed_;
  bool strict_;
  const absl::Time start_;
  std::vector<std::pair<std::string, double>> figures_;
};

// Built with a sanitizer: everything is several times slower and larger.
bool Sanitized();
// What is shipped and measured: figures of memory count in this build only.
bool Release();

}  // namespace agentruntime::testing
