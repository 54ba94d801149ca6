#include "clients/cli/text.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "proto/base/text.h"

namespace agentruntime::cli {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

// Marks that join the character before, and selectors of its form.
constexpr Range kZeroWidth[] = {{0x0300, 0x036f}, {0x0483, 0x0489},   {0x0591, 0x05bd},  {0x0610, 0x061a}, {0x064b, 0x065f}, {0x0900, 0x0902},
                                {0x093a, 0x093a}, {0x093c, 0x093c},   {0x0941, 0x0948},  {0x094d, 0x094d}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a},
                                {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff},   {0x1dc0, 0x1dff},  {0x200c, 0x200d}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f},
                                {0xfe20, 0xfe2f}, {0x1f3fb, 0x1f3ff}, {0xe0100, 0xe01ef}};
// East Asian wide and fullwidth, and emoji.
constexpr Range kWide[] = {{0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},  {0x25fd, 0x25fe}, {0x2614, 0x2615},   {0x2648, 0x2653},
                           {0x26aa, 0x26ab},   {0x26bd, 0x26be},   {0x26d4, 0x26d4},  {0x2705, 0x2705}, {0x270a, 0x270b},   {0x2728, 0x2728},
                           {0x274c, 0x274c},   {0x2753, 0x2755},   {0x2757, 0x2757},  {0x2795, 0x2797}, {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},
                           {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},  {0x4e00, 0x9fff}, {0xa000, 0xa4cf},   {0xac00, 0xd7a3},
                           {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},  {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
                           {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd}};
// Control characters, and what turns, hides or breaks text without being seen.
constexpr Range kUnsafe[] = {{0x00, 0x09},     {0x0b, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x061c, 0x061c}, {0x180e, 0x180e},  {0x200b, 0x200b},
                             {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};

template <size_t N>
bool IsIn(uint32_t code, const Range (&ranges)[N]) {
  const auto* const range = std::lower_bound(std::begin(ranges), std::end(ranges), code, [](const Range& r, uint32_t c) { return r.last < c; });
  return range != std::end(ranges) && code >= range->first;
}

// Takes the first character off `text`, which is valid UTF-8 and not empty.
struct Character {
  uint32_t code = 0;
  absl::string_view bytes;
};
Character TakeCharacter(absl::string_view& text) {
  const auto first = static_cast<uint8_t>(text[0]);
  const size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  uint32_t code = length == 1 ? first : first & (0xff >> (length + 1));
  for (size_t i = 1; i < length && i < text.size(); ++i) code = code << 6 | (static_cast<uint8_t>(text[i]) & 0x3f);
  const Character character = {code, text.substr(0, length)};
  text.remove_prefix(std::min(length, text.size()));
  return character;
}

int WidthOf(uint32_t code) { return IsIn(code, kZeroWidth) ? 0 : IsIn(code, kWide) ? 2 : 1; }

// The longest prefix of at most `width` columns, at least one character.
size_t PrefixOfWidth(absl::string_view text, int width) {
  absl::string_view rest = text;
  int used = 0;
  size_t end = 0;
  while (!rest.empty()) {
    used += WidthOf(TakeCharacter(rest).code);
    if (used > width && end > 0) break;
    end = text.size() - rest.size();
  }
  return end;
}

}  // namespace

std::string Printable(absl::string_view text) {
  const std::string valid = MakeValidUtf8(text);
  absl::string_view rest = valid;
  std::string printable;
  printable.reserve(valid.size());
  while (!rest.empty()) {
    const Character character = TakeCharacter(rest);
    if (character.code == '\t') {
      printable.append("    ");
    } else if (character.code == '\r' && !rest.empty() && rest[0] == '\n') {
      continue;
    } else if (!IsIn(character.code, kUnsafe)) {
      absl::StrAppend(&printable, character.bytes);
    } else if (character.code <= 0xff) {
      absl::StrAppendFormat(&printable, "\\x%02x", character.code);
    } else {
      absl::StrAppendFormat(&printable, "\\u%04x", character.code);
    }
  }
  return printable;
}

std::string PrintableLine(absl::string_view text, size_t characters_max) {
  // Folded first, so that a cut never leaves half of a visible escape; control characters fold like white space.
  return Printable(OneLine(MakeValidUtf8(text), characters_max));
}

int DisplayWidth(absl::string_view text) {
  int width = 0;
  while (!text.empty()) width += WidthOf(TakeCharacter(text).code);
  return width;
}

std::string CutToWidth(absl::string_view text, int width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width <= 3) return std::string(std::max(width, 0), '.');
  const absl::string_view kept = text.substr(0, PrefixOfWidth(text, width - 3));
  return DisplayWidth(kept) > width - 3 ? std::string("...") : absl::StrCat(kept, "...");
}

std::string PadRight(absl::string_view text, int width) { return absl::StrCat(text, std::string(std::max(width - DisplayWidth(text), 0), ' ')); }

std::string PadLeft(absl::string_view text, int width) { return absl::StrCat(std::string(std::max(width - DisplayWidth(text), 0), ' '), text); }

std::vector<std::string> WrapLines(absl::string_view text, int width) {
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    while (DisplayWidth(line) > width) {
      size_t end = PrefixOfWidth(line, width);
      const size_t space = line.substr(0, end + 1).rfind(' ');
      if (space != absl::string_view::npos && space > 0) end = space;
      lines.emplace_back(line.substr(0, end));
      line.remove_prefix(end);
      while (!line.empty() && line[0] == ' ') line.remove_prefix(1);
    }
    lines.emplace_back(line);
  }
  return lines;
}

}  // namespace agentruntime::cli
