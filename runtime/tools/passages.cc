#include "runtime/tools/passages.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proto/base/text.h"
#include "runtime/text/sentences.h"

namespace agentruntime {
namespace {

constexpr size_t kHeadingLevels = 6;
constexpr size_t kHeadingBytesMax = 200;

// Length of a fence (``` or ~~~) that opens or closes a block of code, 0 if the line is none.
size_t FenceLength(absl::string_view line) {
  const absl::string_view stripped = absl::StripLeadingAsciiWhitespace(line);
  if (stripped.empty() || (stripped[0] != '`' && stripped[0] != '~')) return 0;
  const size_t length = std::min(stripped.find_first_not_of(stripped[0]), stripped.size());
  return length >= 3 ? length : 0;
}

// Level of a `# heading`, 0 if the line is none.
size_t HeadingLevel(absl::string_view line) {
  const size_t level = std::min(line.find_first_not_of('#'), line.size());
  if (level == 0 || level > kHeadingLevels) return 0;
  return level == line.size() || absl::ascii_isspace(line[level]) ? level : 0;
}

// Whether the line is made of at least `count` of `c` and white space: a rule, or the line under a heading.
bool IsRow(absl::string_view line, char c, size_t count) {
  const auto marks = std::count(line.begin(), line.end(), c);
  return static_cast<size_t>(marks) >= count && std::all_of(line.begin(), line.end(), [c](char d) { return d == c || absl::ascii_isspace(d); });
}

// Length of "- ", "* ", "+ ", "12. " or "3) " with the white space before it, 0 if there is none.
size_t ItemMarkLength(absl::string_view line) {
  size_t i = std::min(line.find_first_not_of(" \t"), line.size());
  if (i < line.size() && absl::StrContains("-*+", line.substr(i, 1))) {
    ++i;
  } else {
    const size_t digits = i;
    while (i < line.size() && absl::ascii_isdigit(line[i])) ++i;
    if (i == digits || i == line.size() || (line[i] != '.' && line[i] != ')')) return 0;
    ++i;
  }
  return i < line.size() && (line[i] == ' ' || line[i] == '\t') ? i + 1 : 0;
}

class Splitter {
 public:
  explicit Splitter(DocumentFormat format) : markdown_(format == DocumentFormat::kMarkdown), headings_(kHeadingLevels) {}

  std::vector<Passage> Split(absl::string_view text) {
    const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
    for (size_t i = markdown_ ? FrontMatterLines(lines) : 0; i < lines.size(); ++i) {
      number_ = static_cast<int32_t>(i) + 1;
      Line(absl::StripSuffix(lines[i], "\r"));
    }
    fence_ > 0 ? EndCode() : EndProse();
    return std::move(passages_);
  }

 private:
  static size_t FrontMatterLines(const std::vector<absl::string_view>& lines) {
    if (absl::StripTrailingAsciiWhitespace(lines[0]) != "---") return 0;
    for (size_t i = 1; i < lines.size(); ++i) {
      if (absl::StripTrailingAsciiWhitespace(lines[i]) == "---") return i + 1;
    }
    return 0;
  }

  void Line(absl::string_view line) {
    if (!markdown_) return Prose(line);
    if (fence_ > 0) return CodeLine(line);
    if (comment_) {
      comment_ = !absl::StrContains(line, "-->");
      return;
    }
    const absl::string_view stripped = absl::StripAsciiWhitespace(line);
    if (const size_t fence = FenceLength(line); fence > 0) {
      EndProse();
      fence_ = fence;
      fence_mark_ = stripped[0];
      first_line_ = number_ + 1;
    } else if (absl::StartsWith(stripped, "<!--")) {
      EndProse();
      comment_ = !absl::StrContains(stripped, "-->");
    } else if (const size_t level = HeadingLevel(line); level > 0) {
      EndProse();
      Heading(level, stripped.substr(level));
    } else if (!prose_.empty() && !item_ && !stripped.empty() && (IsRow(line, '=', 1) || IsRow(line, '-', 1))) {
      const std::string title = std::exchange(prose_, "");
      Heading(stripped[0] == '=' ? 1 : 2, title);
    } else if (IsRow(line, '-', 3) || IsRow(line, '*', 3) || IsRow(line, '_', 3) || IsLinkDefinition(stripped)) {
      EndProse();
    } else if (absl::StartsWith(stripped, "|")) {
      EndProse();
      if (stripped.find_first_not_of("|-: \t") != absl::string_view::npos) Add(number_, stripped);
    } else if (const size_t mark = ItemMarkLength(line); mark > 0) {
      EndProse();
      item_ = true;
      Prose(line.substr(mark));
    } else {
      Prose(absl::StripPrefix(absl::StripPrefix(stripped, ">"), " "));
    }
  }

  static bool IsLinkDefinition(absl::string_view line) { return absl::StartsWith(line, "[") && absl::StrContains(line, "]: "); }

  void Heading(size_t level, absl::string_view title) {
    title = absl::StripAsciiWhitespace(title);
    while (absl::ConsumeSuffix(&title, "#")) {
    }
    headings_[level - 1] = std::string(CutUtf8(absl::StripAsciiWhitespace(title), kHeadingBytesMax));
    for (size_t i = level; i < kHeadingLevels; ++i) headings_[i].clear();
  }

  void Prose(absl::string_view line) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) return EndProse();
    if (prose_.empty()) first_line_ = number_;
    absl::StrAppend(&prose_, prose_.empty() ? "" : "\n", line);
  }

  void EndProse() {
    item_ = false;
    size_t counted = 0;
    int32_t line = first_line_;
    for (const Sentence& sentence : SplitSentences(prose_)) {
      line += static_cast<int32_t>(std::count(prose_.begin() + counted, prose_.begin() + sentence.offset, '\n'));
      counted = sentence.offset;
      std::string text(sentence.text);
      std::replace(text.begin(), text.end(), '\n', ' ');
      Add(line, text);
    }
    prose_.clear();
  }

  void CodeLine(absl::string_view line) {
    const absl::string_view stripped = absl::StripAsciiWhitespace(line);
    if (FenceLength(line) >= fence_ && stripped.find_first_not_of(fence_mark_) == absl::string_view::npos) return EndCode();
    if (!code_.empty() && code_.size() + 1 + line.size() > kPassageBytesMax) AddCode();
    if (code_.empty()) first_line_ = number_;
    absl::StrAppend(&code_, code_.empty() ? "" : "\n", line);
  }

  void EndCode() {
    AddCode();
    fence_ = 0;
  }

  void AddCode() {
    if (!absl::StripAsciiWhitespace(code_).empty()) Add(first_line_, code_);
    code_.clear();
  }

  void Add(int32_t line, absl::string_view text) {
    std::string heading;
    for (const std::string& title : headings_) {
      if (!title.empty()) absl::StrAppend(&heading, heading.empty() ? "" : " > ", title);
    }
    while (!text.empty()) {
      const absl::string_view piece = CutUtf8(text, kPassageBytesMax);
      passages_.push_back({line, heading, std::string(piece)});
      text.remove_prefix(piece.size());
    }
  }

  const bool markdown_;
  std::vector<std::string> headings_;
  int32_t number_ = 0;
  int32_t first_line_ = 0;  // of the prose or code being gathered
  std::string prose_;
  bool item_ = false;
  std::string code_;
  size_t fence_ = 0;  // length of the open fence
  char fence_mark_ = 0;
  bool comment_ = false;
  std::vector<Passage> passages_;
};

}  // namespace

std::vector<Passage> SplitPassages(absl::string_view text, DocumentFormat format) {
  absl::ConsumePrefix(&text, "\xEF\xBB\xBF");  // a byte order mark
  return Splitter(format).Split(text);
}

}  // namespace agentruntime
