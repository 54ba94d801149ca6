// A table in columns as wide as what stands in them.
#pragma once

#include <string>
#include <vector>

namespace agentruntime::cli {

struct Column {
  std::string title;
  bool right = false;     // numbers
  bool flexible = false;  // cut first where the terminal is too narrow; one of them, usually the last
};

class Table {
 public:
  explicit Table(std::vector<Column> columns);
  // As many cells as columns; printable, on one line.
  void Add(std::vector<std::string> cells);
  // One line for the titles and one for each row, without spaces at the end. At most `width` columns wide by cutting the flexible column, never below 8, and
  // then whole lines; 0: nothing is cut.
  std::string Render(int width) const;

 private:
  const std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // the titles first
};

}  // namespace agentruntime::cli
