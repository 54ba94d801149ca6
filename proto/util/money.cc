#include "proto/util/money.h"

#include <algorithm>

#include "absl/numeric/int128.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/util/limits.h"

namespace agentruntime {
namespace {

constexpr int64_t kMillion = 1'000'000;
constexpr size_t kDecimals = 6;

// In millionths of millionths: prices are for a million tokens.
absl::int128 ExactCost(const v1::ModelPrice& price, int64_t input, int64_t cached, int64_t output) {
  const int64_t cached_price = price.has_cached_input_micros() ? price.cached_input_micros() : price.input_micros();
  return absl::int128(input - cached) * price.input_micros() + absl::int128(cached) * cached_price + absl::int128(output) * price.output_micros();
}

bool AllDigits(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return absl::ascii_isdigit(c); });
}

}  // namespace

int64_t CostMicros(const v1::ModelPrice& price, int64_t input, int64_t cached, int64_t output) {
  return static_cast<int64_t>((ExactCost(price, input, std::min(cached, input), output) + (kMillion - 1)) / kMillion);
}

int64_t AffordableOutput(const v1::ModelPrice& price, int64_t input, int64_t left_micros, int64_t output_max) {
  const absl::int128 left = absl::int128(left_micros) * kMillion - ExactCost(price, input, 0, 0);
  if (left < 0) return -1;
  if (price.output_micros() == 0) return output_max;
  return static_cast<int64_t>(std::min<absl::int128>(left / price.output_micros(), output_max));
}

std::string FormatMicros(int64_t micros) {
  std::string text = absl::StrFormat("%s%d.%06d", micros < 0 ? "-" : "", std::abs(micros / kMillion), std::abs(micros % kMillion));
  while (text.back() == '0' && text[text.size() - 3] != '.') text.pop_back();
  return text;
}

std::optional<int64_t> ParseMicros(absl::string_view text) {
  const size_t point = std::min(text.find('.'), text.size());
  const absl::string_view whole = text.substr(0, point);
  const absl::string_view decimals = text.substr(std::min(point + 1, text.size()));
  if (whole.empty() || whole.size() > 12 || decimals.size() > kDecimals || (point < text.size() && decimals.empty())) return std::nullopt;
  if (!AllDigits(whole) || !AllDigits(decimals)) return std::nullopt;
  int64_t micros = 0;
  for (const char digit : whole) micros = micros * 10 + (digit - '0');
  for (size_t i = 0; i < kDecimals; ++i) micros = micros * 10 + (i < decimals.size() ? decimals[i] - '0' : 0);
  if (micros > kMaxCostMicrosMaximum) return std::nullopt;
  return micros;
}

}  // namespace agentruntime
