#include "clients/cli/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "clients/cli/text.h"

namespace agentruntime::cli {
namespace {

constexpr int kGap = 2;
constexpr int kFlexibleMin = 8;

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  rows_.push_back(std::move(titles));
}

void Table::Add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::Render(int width) const {
  std::vector<int> widths(columns_.size());
  int total = -kGap;
  for (size_t i = 0; i < columns_.size(); ++i) {
    for (const auto& row : rows_) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    total += widths[i] + kGap;
  }
  for (size_t i = 0; i < columns_.size() && width > 0 && total > width; ++i) {
    if (!columns_[i].flexible) continue;
    const int kept = std::min(widths[i], std::max(kFlexibleMin, widths[i] - (total - width)));
    total -= widths[i] - kept;
    widths[i] = kept;
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string cell = CutToWidth(row[i], widths[i]);
      absl::StrAppend(&line, i > 0 ? std::string(kGap, ' ') : "", columns_[i].right ? PadLeft(cell, widths[i]) : PadRight(cell, widths[i]));
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&text, width > 0 ? CutToWidth(line, width) : line, "\n");
  }
  return text;
}

}  // namespace agentruntime::cli
