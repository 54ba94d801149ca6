// simulate [--seed N | --seeds N | --minutes M] [--from N] [--trace]: as many fresh seeds as one likes.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "proto/base/log.h"
#include "tests/simulation/simulation.h"

namespace agentruntime::simulation {
namespace {

struct Arguments {
  uint64_t from = std::random_device()() & 0x7fffffffu;
  int64_t seeds = 1000;
  double minutes = 0;
  bool trace = false;
};

bool Parse(int argc, char** argv, Arguments* arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--trace") {
      arguments->trace = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const char* const value = argv[++i];
    if (name == "--seed") {
      arguments->from = std::strtoull(value, nullptr, 10);
      arguments->seeds = 1;
    } else if (name == "--seeds") {
      arguments->seeds = std::strtoll(value, nullptr, 10);
    } else if (name == "--minutes") {
      arguments->minutes = std::strtod(value, nullptr);
    } else if (name == "--from") {
      arguments->from = std::strtoull(value, nullptr, 10);
    } else {
      return false;
    }
  }
  return true;
}

int Run(const Arguments& arguments) {
  ConfigureLog(LogLevel::kInfo, LogFormat::kLogfmt);
  const auto began = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  int64_t played = 0;
  int64_t failed = 0;
  Counts counts;
  for (uint64_t seed = arguments.from;; ++seed) {
    if (arguments.minutes > 0 ? seconds() > arguments.minutes * 60 : played >= arguments.seeds) break;
    const Verdict verdict = Simulate(seed, arguments.trace);
    ++played;
    counts.Add(verdict.counts);
    if (verdict.failure.empty()) continue;
    ++failed;
    std::printf("FAILED seed %llu: %s\n  again, with every line: simulate --seed %llu --trace\n", static_cast<unsigned long long>(seed),
                verdict.failure.c_str(), static_cast<unsigned long long>(seed));
    std::fflush(stdout);
  }
  std::printf("%lld seeds from %llu in %.1f s, %lld failed; %s\n", static_cast<long long>(played), static_cast<unsigned long long>(arguments.from), seconds(),
              static_cast<long long>(failed), counts.Text().c_str());
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace agentruntime::simulation

int main(int argc, char** argv) {
  agentruntime::simulation::Arguments arguments;
  if (!agentruntime::simulation::Parse(argc, argv, &arguments)) {
    std::fprintf(stderr, "simulate [--seed N | --seeds N | --minutes M] [--from N] [--trace]\n");
    return 2;
  }
  return agentruntime::simulation::Run(arguments);
}
