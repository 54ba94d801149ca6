#include "proto/base/id.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace agentruntime {
namespace {

// Crockford's base32 without i, l, o, u.
constexpr absl::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr size_t kTextLength = 26;  // 130 bits: two leading zero bits, then the id's 128

// Digits only, no sign, no leading zero, fits int32, at least 1.
std::optional<int32_t> ParseNumber(absl::string_view text) {
  int32_t number = 0;
  if (text.empty() || text[0] < '1' || text[0] > '9' || !absl::SimpleAtoi(text, &number)) return std::nullopt;
  if (absl::StrCat(number) != text) return std::nullopt;
  return number;
}

}  // namespace

RunId RunId::New(absl::Time time, uint64_t high, uint64_t low) {
  const auto milliseconds = static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixMillis(time)));
  Bytes bytes;
  for (int i = 0; i < 6; ++i) bytes[i] = static_cast<uint8_t>(milliseconds >> (8 * (5 - i)));
  bytes[6] = static_cast<uint8_t>(0x70 | ((high >> 8) & 0x0f));
  bytes[7] = static_cast<uint8_t>(high);
  for (int i = 8; i < 16; ++i) bytes[i] = static_cast<uint8_t>(low >> (8 * (15 - i)));
  bytes[8] = static_cast<uint8_t>(0x80 | (bytes[8] & 0x3f));
  return RunId(bytes);
}

std::optional<RunId> RunId::Parse(absl::string_view text) {
  if (text.size() != kTextLength) return std::nullopt;
  Bytes bytes = {};
  uint32_t window = 0;
  int bits = -2;  // the two leading bits carry nothing
  size_t next = 0;
  for (const char c : text) {
    const size_t value = kAlphabet.find(c);
    if (value == absl::string_view::npos) return std::nullopt;
    if (bits < 0 && value > 7) return std::nullopt;
    window = (window << 5) | static_cast<uint32_t>(value);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[next++] = static_cast<uint8_t>(window >> bits);
    }
  }
  return RunId(bytes);
}

std::optional<RunId> RunId::FromBytes(absl::string_view bytes) {
  RunId id;
  if (bytes.size() != id.bytes_.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), id.bytes_.begin());
  return id;
}

std::string RunId::ToString() const {
  std::string text(kTextLength, '0');
  uint32_t window = 0;
  int bits = 2;
  size_t next = 0;
  for (const uint8_t byte : bytes_) {
    window = (window << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text[next++] = kAlphabet[(window >> bits) & 31];
    }
  }
  return text;
}

absl::Time RunId::time() const {
  int64_t milliseconds = 0;
  for (int i = 0; i < 6; ++i) milliseconds = (milliseconds << 8) | bytes_[i];
  return absl::FromUnixMillis(milliseconds);
}

std::string NewStoreId(uint64_t high, uint64_t low) { return absl::StrCat(absl::Hex(high, absl::kZeroPad16), absl::Hex(low, absl::kZeroPad16)); }

std::optional<CallId> CallId::Parse(absl::string_view text) {
  const size_t dot = text.find('.');
  if (dot == absl::string_view::npos) return std::nullopt;
  const auto step = ParseNumber(text.substr(0, dot));
  const auto index = ParseNumber(text.substr(dot + 1));
  if (!step || !index) return std::nullopt;
  return CallId{*step, *index};
}

std::string CallId::ToString() const { return absl::StrCat(step, ".", index); }

}  // namespace agentruntime
