// Plays a fixed set of seeds and a fresh one. simulation_test --seed N plays one seed, with --trace every line of it; --digests N says what became of seeds 1
// to N.
#include "tests/simulation/simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/base/log.h"
#include "tests/support/program.h"

#ifndef AGENTRUNTIME_SIMULATION_SEEDS
#define AGENTRUNTIME_SIMULATION_SEEDS 5000
#endif

namespace agentruntime::simulation {
namespace {

// In all; half of them are the same each time.
constexpr int kSeeds = AGENTRUNTIME_SIMULATION_SEEDS;

constexpr int kFailuresMax = 3;  // more say little more

// Plays `count` seeds from `from`; names each that breaks a promise, up to kFailuresMax, and how to see it again.
Counts Play(uint64_t from, int count) {
  Counts counts;
  int failures = 0;
  for (uint64_t seed = from; seed < from + static_cast<uint64_t>(count); ++seed) {
    const Verdict verdict = Simulate(seed, /*print=*/false);
    counts.Add(verdict.counts);
    if (verdict.failure.empty()) continue;
    ADD_FAILURE() << "seed " << seed << " breaks a promise: " << verdict.failure << "\nagain: simulation_test --seed " << seed << " --trace\nits last lines:\n"
                  << verdict.trace;
    if (++failures == kFailuresMax) break;
  }
  return counts;
}

// A verdict over nothing is none. What nearly every seed has:
void ExpectWork(const Counts& counts, int seeds) {
  EXPECT_GE(counts.runs, seeds * 2);
  EXPECT_GE(counts.forks, seeds / 8);
  EXPECT_GE(counts.stops, seeds * 3);
  EXPECT_GE(counts.events, seeds * 40);
  EXPECT_GE(counts.executions, seeds * 8);
  EXPECT_GE(counts.model_requests, seeds * 6);
  EXPECT_GE(counts.seen_events, seeds * 80);
  EXPECT_GE(counts.acknowledged, seeds * 4);
  EXPECT_GE(counts.crashes, seeds);
  EXPECT_GE(counts.artifacts, seeds / 4);
  EXPECT_GE(counts.artifacts_read, seeds / 4);
  EXPECT_GE(counts.denied, seeds / 20);
  EXPECT_GE(counts.questions, seeds / 20);
  EXPECT_GE(counts.inputs, seeds / 4);
  EXPECT_GE(counts.cancels, seeds / 3);
  EXPECT_GE(counts.resumes, seeds / 4);
  EXPECT_GE(counts.deltas, seeds / 2);
  EXPECT_GE(counts.lines, seeds * 2);
  // What was done to them.
  EXPECT_GE(counts.left, seeds);
  EXPECT_GE(counts.full_commits, seeds * 3);
  EXPECT_GE(counts.clock_jumps, seeds);
  EXPECT_GE(counts.model_failures, seeds / 2);
  EXPECT_GE(counts.paid_failures, seeds / 5);
  EXPECT_GE(counts.call_failures, seeds);
  EXPECT_GE(counts.hidden_effects, seeds / 2);
  EXPECT_GE(counts.nonsense, seeds / 10);
}

// What few seeds have, and those few much of it: chance may deal a hundred seeds none.
void ExpectTheRare(const Counts& counts, int seeds) {
  EXPECT_GE(counts.children, seeds / 4);
  EXPECT_GE(counts.child_results, seeds / 16);
  EXPECT_GE(counts.allowed, seeds / 20);
  EXPECT_GE(counts.loops, seeds / 40);
  EXPECT_GE(counts.held, seeds / 20);
  EXPECT_GE(counts.failed_commits, seeds / 20);
  EXPECT_GE(counts.unheard_commits, seeds / 20);
}

TEST(SimulationTest, TheFixedSeedsKeepEveryPromise) {
  const Counts counts = Play(1, kSeeds / 2);
  ExpectWork(counts, kSeeds / 2);
  ExpectTheRare(counts, kSeeds / 2);
}

TEST(SimulationTest, FreshSeedsKeepEveryPromise) {
  const uint64_t from = std::random_device()();
  std::printf("fresh seeds from %llu\n", static_cast<unsigned long long>(from));
  // A quarter of the work: the poorest of a thousand times a hundred seeds had three times that.
  ExpectWork(Play(from, kSeeds - kSeeds / 2), (kSeeds - kSeeds / 2) / 4);
}

// Of this process: with its addresses, the order of hash maps changes.
std::string HashSeed() { return absl::StrCat("hash seed ", absl::Hash<int>()(1)); }

std::string Digest(uint64_t seed) {
  const Verdict verdict = Simulate(seed, /*print=*/false);
  return absl::StrCat("seed ", seed, ": ", absl::Hex(verdict.hash), " after ", verdict.counts.handlers, " handlers");
}

// A process sees the same order of addresses and of hash maps each time it plays a seed: only another one can say that nothing depends on them.
TEST(SimulationTest, ASeedRepeatsItself) {
  const int count = std::max(10, kSeeds / 40);
  testing::Program other("/proc/self/exe", {"--digests", absl::StrCat(count)});
  std::vector<std::string> digests;
  for (uint64_t seed = 1; seed <= static_cast<uint64_t>(count); ++seed) {
    digests.push_back(Digest(seed));
    EXPECT_EQ(Digest(seed), digests.back()) << "in one process";
  }
  ASSERT_EQ(other.Wait(), 0) << other.err();
  std::vector<std::string> others = absl::StrSplit(other.out(), '\n', absl::SkipEmpty());
  ASSERT_FALSE(others.empty());
  EXPECT_NE(others.front(), HashSeed()) << "both processes have the same addresses, and nothing was compared: let the system randomize them";
  others.erase(others.begin());
  EXPECT_EQ(others, digests) << "in two processes";
}

TEST(SimulationTest, SeedsDiffer) { EXPECT_NE(Simulate(1, /*print=*/false).hash, Simulate(2, /*print=*/false).hash); }

}  // namespace
}  // namespace agentruntime::simulation

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  agentruntime::ConfigureLog(agentruntime::LogLevel::kInfo, agentruntime::LogFormat::kLogfmt);
  const bool trace = argc > 3 && std::strcmp(argv[3], "--trace") == 0;
  if (argc > 2 && std::strcmp(argv[1], "--seed") == 0) {
    const auto verdict = agentruntime::simulation::Simulate(std::strtoull(argv[2], nullptr, 10), trace);
    std::printf("%s\n", verdict.failure.empty() ? "every promise held" : verdict.failure.c_str());
    return verdict.failure.empty() ? 0 : 1;
  }
  if (argc > 2 && std::strcmp(argv[1], "--digests") == 0) {
    std::printf("%s\n", agentruntime::simulation::HashSeed().c_str());
    for (uint64_t seed = 1; seed <= std::strtoull(argv[2], nullptr, 10); ++seed) std::printf("%s\n", agentruntime::simulation::Digest(seed).c_str());
    return 0;
  }
  return RUN_ALL_TESTS();
}
