#include "runtime/http/retry_after.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace agentruntime {

std::optional<absl::Duration> ParseRetryAfter(absl::string_view value, absl::Time now) {
  value = absl::StripAsciiWhitespace(value);
  if (value.empty()) return std::nullopt;
  // Some servers write fractions of a second; the standard knows whole ones only.
  double seconds = 0;
  if (absl::ascii_isdigit(value.front()) && absl::SimpleAtod(value, &seconds)) {
    return std::isfinite(seconds) ? absl::Seconds(seconds) : absl::InfiniteDuration();
  }
  for (const char* format : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    absl::Time time;
    if (absl::ParseTime(format, value, &time, nullptr)) return std::max(absl::ZeroDuration(), time - now);
  }
  return std::nullopt;
}

}  // namespace agentruntime
