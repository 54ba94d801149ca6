// Randomness through one seam: ids and jitter come from here, so that a seed repeats a whole server.
#pragma once

#include <cstdint>
#include <random>

#include "absl/base/thread_annotations.h"
#include "proto/base/mutex.h"

namespace agentruntime {

// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  // 64 uniform bits.
  virtual uint64_t Next() = 0;
  // Uniform in [0, 1).
  double NextDouble() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
};

// Seeded once from the operating system. Good for ids, not for secrets.
class SystemRandom final : public Random {
 public:
  SystemRandom();
  uint64_t Next() override;

 private:
  Mutex mu_;
  std::mt19937_64 engine_ ABSL_GUARDED_BY(mu_);
};

// The same numbers for the same seed.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed);
  uint64_t Next() override;

 private:
  Mutex mu_;
  std::mt19937_64 engine_ ABSL_GUARDED_BY(mu_);
};

}  // namespace agentruntime
