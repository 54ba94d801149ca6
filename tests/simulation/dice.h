// Chance, repeatable: the same numbers for the same seed on every machine.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "proto/base/random.h"

namespace agentruntime::simulation {

// SplitMix64 (Steele, Lea and Flood). `stream` separates users of one seed, so that one that asks more often does not change what the others get.
class Dice final : public Random {
 public:
  Dice(uint64_t seed, uint64_t stream) : state_(seed * 0x9e3779b97f4a7c15u ^ (stream + 1) * 0xd1342543de82ef95u) {
    Next();
    Next();
  }

  uint64_t Next() override {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  bool Chance(double probability) { return probability > 0 && NextDouble() < probability; }
  // Uniform in [low, high].
  int64_t Between(int64_t low, int64_t high) { return low + static_cast<int64_t>(Next() % static_cast<uint64_t>(high - low + 1)); }
  size_t Index(size_t size) { return static_cast<size_t>(Next() % size); }
  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[Index(from.size())];
  }
  absl::Duration Between(absl::Duration low, absl::Duration high) { return low + (high - low) * NextDouble(); }
  // Mostly short, sometimes up to `most`.
  absl::Duration Skewed(absl::Duration most) {
    const double x = NextDouble();
    return most * (x * x * x);
  }

 private:
  uint64_t state_;
};

}  // namespace agentruntime::simulation
