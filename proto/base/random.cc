#include "proto/base/random.h"

#include <algorithm>
#include <array>

namespace agentruntime {
namespace {

std::mt19937_64 SeedFromSystem() {
  std::random_device device;
  std::array<uint32_t, 16> words;
  std::generate(words.begin(), words.end(), [&device] { return device(); });
  std::seed_seq sequence(words.begin(), words.end());
  return std::mt19937_64(sequence);
}

}  // namespace

SystemRandom::SystemRandom() : engine_(SeedFromSystem()) {}

uint64_t SystemRandom::Next() {
  MutexLock lock(mu_);
  return engine_();
}

SeededRandom::SeededRandom(uint64_t seed) : engine_(seed) {}

uint64_t SeededRandom::Next() {
  MutexLock lock(mu_);
  return engine_();
}

}  // namespace agentruntime
