// Rows of figures: a table for people, JSON for programs.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace agentruntime::bench {

struct Row {
  std::string name;  // words with dots between them, from the general to the special
  double value = 0;
  std::string unit;
  std::optional<double> floor;  // what the same machine does in the same minutes without us, in the same unit
  std::string target;           // as a sentence; empty: none is set
  bool met = false;             // the target
};

class Report {
 public:
  // `revision` of the code that was built; each row carries it.
  explicit Report(std::string revision = "unknown") : revision_(std::move(revision)) {}

  // Prints the row as it comes.
  void Add(Row row);
  const std::vector<Row>& rows() const { return rows_; }
  // The rows with a target once more, and how many of them are met.
  void PrintTargets() const;
  // An array of objects with name, value, unit, floor, ratio (value / floor), revision, and target and met where there is a target; null where there is no
  // floor.
  std::string Json() const;

 private:
  const std::string revision_;
  std::vector<Row> rows_;
};

}  // namespace agentruntime::bench
