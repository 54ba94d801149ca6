#include "runtime/models/surrogates.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace agentruntime {
namespace {

constexpr absl::string_view kMark = "\xEF\xB7\x90";  // U+FDD0, which no text contains by the standard; four hex digits follow
constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";

bool IsHigh(uint32_t unit) { return unit >= 0xd800 && unit <= 0xdbff; }
bool IsLow(uint32_t unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

std::optional<uint32_t> HexUnit(absl::string_view text) {
  if (text.size() < 4) return std::nullopt;
  uint32_t unit = 0;
  for (const char c : text.substr(0, 4)) {
    if (!absl::ascii_isxdigit(c)) return std::nullopt;
    unit = unit * 16 + static_cast<uint32_t>(c <= '9' ? c - '0' : absl::ascii_tolower(c) - 'a' + 10);
  }
  return unit;
}

// The unit of a `\uXXXX` at the front.
std::optional<uint32_t> EscapedUnit(absl::string_view text) {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return std::nullopt;
  return HexUnit(text.substr(2));
}

void AppendCharacter(std::string& text, uint32_t code) {  // beyond the basic plane
  text.push_back(static_cast<char>(0xf0 | code >> 18));
  text.push_back(static_cast<char>(0x80 | (code >> 12 & 0x3f)));
  text.push_back(static_cast<char>(0x80 | (code >> 6 & 0x3f)));
  text.push_back(static_cast<char>(0x80 | (code & 0x3f)));
}

}  // namespace

std::string MarkHalfCharacters(absl::string_view json) {
  std::string marked;
  while (!json.empty()) {
    const size_t escape = json.find('\\');
    absl::StrAppend(&marked, json.substr(0, escape));
    if (escape == absl::string_view::npos) break;
    json.remove_prefix(escape);
    size_t length = 2;
    if (const auto unit = EscapedUnit(json)) {
      length = 6;
      const auto next = EscapedUnit(json.substr(6));
      if (IsHigh(*unit) && next && IsLow(*next)) {
        length = 12;
      } else if (IsHigh(*unit) || IsLow(*unit)) {
        absl::StrAppend(&marked, kMark, json.substr(2, 4));
        json.remove_prefix(6);
        continue;
      }
    }
    absl::StrAppend(&marked, json.substr(0, length));
    json.remove_prefix(std::min(length, json.size()));
  }
  return marked;
}

std::string SurrogateJoiner::Take(absl::string_view fragment) {
  std::string text;
  while (!fragment.empty()) {
    const size_t mark = fragment.find(kMark);
    const absl::string_view plain = fragment.substr(0, mark);
    if (!plain.empty()) absl::StrAppend(&text, Finish(), plain);
    if (mark == absl::string_view::npos) break;
    fragment.remove_prefix(mark + kMark.size());
    const auto unit = HexUnit(fragment);
    if (!unit) {
      absl::StrAppend(&text, Finish(), kReplacement);
      continue;
    }
    fragment.remove_prefix(4);
    if (IsLow(*unit) && high_ != 0) {
      AppendCharacter(text, 0x10000 + ((high_ - 0xd800) << 10) + (*unit - 0xdc00));
      high_ = 0;
    } else {
      absl::StrAppend(&text, Finish());
      if (IsHigh(*unit)) {
        high_ = *unit;
      } else {
        absl::StrAppend(&text, kReplacement);
      }
    }
  }
  return text;
}

std::string SurrogateJoiner::Finish() {
  if (high_ == 0) return "";
  high_ = 0;
  return std::string(kReplacement);
}

}  // namespace agentruntime
