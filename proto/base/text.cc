#include "proto/base/text.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace agentruntime {
namespace {

// Length of the valid character at the front of `text`, 0 if there is none.
size_t CharacterLength(absl::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const auto continues = [&](size_t i, uint8_t low = 0x80, uint8_t high = 0xbf) { return i < text.size() && byte(i) >= low && byte(i) <= high; };
  if (text.empty()) return 0;
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const uint8_t low = first == 0xe0 ? 0xa0 : 0x80;
    const uint8_t high = first == 0xed ? 0x9f : 0xbf;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const uint8_t low = first == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xf4 ? 0x8f : 0xbf;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string MakeValidUtf8(absl::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (length == 0) {
      valid.append("\xEF\xBF\xBD");
      text.remove_prefix(1);
    } else {
      absl::StrAppend(&valid, text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return valid;
}

absl::string_view CutUtf8(absl::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

std::string OneLine(absl::string_view text, size_t characters_max) {
  std::string line;
  size_t characters = 0;
  bool space = false;
  while (!text.empty()) {
    size_t length = CharacterLength(text);
    if (length == 0) length = 1;
    const absl::string_view character = text.substr(0, length);
    text.remove_prefix(length);
    if (length == 1 && (absl::ascii_isspace(character[0]) || absl::ascii_iscntrl(character[0]))) {
      space = !line.empty();
      continue;
    }
    if (characters + (space ? 1 : 0) >= characters_max) {
      line.append("\xE2\x80\xA6");
      return line;
    }
    if (space) {
      line.push_back(' ');
      ++characters;
      space = false;
    }
    absl::StrAppend(&line, character);
    ++characters;
  }
  return line;
}

std::string EscapeJson(absl::string_view text) {
  std::string escaped;
  escaped.reserve(text.size() + 8);
  for (const char c : text) {
    switch (c) {
      case '"': escaped.append("\\\""); break;
      case '\\': escaped.append("\\\\"); break;
      case '\n': escaped.append("\\n"); break;
      case '\r': escaped.append("\\r"); break;
      case '\t': escaped.append("\\t"); break;
      default:
        if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
          absl::StrAppendFormat(&escaped, "\\u%04x", static_cast<int>(c));
        } else {
          escaped.push_back(c);
        }
    }
  }
  return escaped;
}

}  // namespace agentruntime
