// Medians and percentiles: what every figure of the benchmarks is made of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace agentruntime::bench {

// The smallest value that at least `share` of the values do not exceed; 0 of none.
inline double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())))];
}

inline double Median(std::vector<double> values) { return Percentile(std::move(values), 0.5); }

}  // namespace agentruntime::bench
