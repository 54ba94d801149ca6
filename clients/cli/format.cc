#include "clients/cli/format.h"

#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace agentruntime::cli {
namespace {

// What `date` and `ls` show: local, and short enough to stand in front of each event on a terminal of 80 columns.
constexpr char kInstant[] = "%Y-%m-%d %H:%M:%S";

}  // namespace

std::string FormatCount(int64_t count) {
  std::string digits = absl::StrCat(count);
  const size_t first = count < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string FormatPlural(int64_t count, absl::string_view noun) { return absl::StrCat(FormatCount(count), " ", noun, count == 1 ? "" : "s"); }

std::string FormatBytes(int64_t bytes) {
  static constexpr std::array<absl::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit > 0 && value < 10 ? absl::StrFormat("%.1f %s", value, kUnits[unit]) : absl::StrFormat("%.0f %s", value, kUnits[unit]);
}

std::string FormatElapsed(absl::Duration duration) {
  if (duration < absl::Seconds(1)) return absl::StrFormat("%d ms", absl::ToInt64Milliseconds(duration));
  if (duration < absl::Minutes(1)) return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(absl::Floor(duration, absl::Milliseconds(100))));
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (duration < absl::Hours(1)) return absl::StrFormat("%dm %02ds", seconds / 60, seconds % 60);
  if (duration < absl::Hours(24)) return absl::StrFormat("%dh %02dm", seconds / 3600, seconds / 60 % 60);
  return absl::StrFormat("%d d %d h", seconds / 86400, seconds / 3600 % 24);
}

std::string FormatLimit(absl::Duration duration) {
  std::string text = absl::FormatDuration(duration);  // 10m0s is 10m; 1h0m0s is 1h
  for (const absl::string_view zero : {"m0s", "h0m"}) {
    if (absl::EndsWith(text, zero)) text.resize(text.size() - 2);
  }
  return text;
}

std::string FormatInstant(absl::Time time) { return absl::FormatTime(kInstant, time, absl::LocalTimeZone()); }

std::string FormatWaitEnd(absl::Time expiry, absl::Time deadline) {
  // A deadline stops the run; the wait's own end only settles the call.
  return deadline <= expiry ? absl::StrCat("until ", FormatInstant(deadline), ", when the run's deadline stops it")
                            : absl::StrCat("until ", FormatInstant(expiry));
}

std::optional<absl::Time> ParseInstant(const std::string& text) {
  absl::Time time;
  const bool parsed = absl::ParseTime(absl::RFC3339_full, text, &time, nullptr) || absl::ParseTime(kInstant, text, absl::LocalTimeZone(), &time, nullptr);
  // Abseil reads `infinite-future` in every format; it is no point in time.
  if (!parsed || time == absl::InfiniteFuture() || time == absl::InfinitePast()) return std::nullopt;
  return time;
}

}  // namespace agentruntime::cli
