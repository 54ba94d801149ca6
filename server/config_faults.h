// Faults of a YAML file, with their places.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace agentruntime {

class ConfigFaults {
 public:
  // Both outlive this.
  ConfigFaults(const std::string& file, const std::string& text) : file_(file), text_(text) {}

  // `path` as in models[0].openai.base_url. If it is not in the file, the place is that of the nearest thing around it that is.
  void Add(absl::string_view path, absl::string_view description);
  // A line that names its place itself.
  void AddLine(std::string line) { lines_.push_back(std::move(line)); }
  bool ok() const { return lines_.empty(); }
  // INVALID_ARGUMENT with at most 20 of the lines, or OK.
  absl::Status status() const;

 private:
  const std::string& file_;
  const std::string& text_;
  std::vector<std::string> lines_;
};

}  // namespace agentruntime
