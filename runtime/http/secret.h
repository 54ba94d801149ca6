// A key or token. Nothing prints it: there is no conversion, no operator<<, no formatter.
#pragma once

#include <string>
#include <utility>

namespace agentruntime {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}

  bool empty() const { return value_.empty(); }
  // For the one place that sends it.
  const std::string& Reveal() const { return value_; }

 private:
  std::string value_;
};

}  // namespace agentruntime
