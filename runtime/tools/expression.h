// Arithmetic as people write it.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentruntime {

inline constexpr size_t kExpressionBytesMax = 1000;
inline constexpr int kExpressionDepthMax = 64;

// The value of an expression of numbers (12, 1_000, 0.5, 1e3), + - * / % ^ (to the right, before a sign: -2^2 is -4), parentheses, pi, e, and the functions
// sqrt abs floor ceil ln log exp sin cos tan (one argument; log is to base 10), round (one or, with decimals, two), min and max (one or more). In double
// precision; % is the rest of a division with the sign of the dividend. INVALID_ARGUMENT, with the position from 1, for: anything else, too long, nested too
// deep, no finite result (division by zero, overflow, a root or logarithm that is not real).
absl::StatusOr<double> Evaluate(absl::string_view expression);

}  // namespace agentruntime
