#include "tests/simulation/world.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_format.h"

namespace agentruntime::simulation {
namespace {

constexpr size_t kLinesKept = 60;

}  // namespace

void World::Write(std::string line) {
  line = absl::StrFormat("%12.6f %s", absl::ToDoubleSeconds(now), line);
  for (const char c : line) hash_ = (hash_ ^ static_cast<uint8_t>(c)) * 1099511628211u;
  if (print_) std::puts(line.c_str());
  last_lines_.push_back(std::move(line));
  if (last_lines_.size() > kLinesKept) last_lines_.pop_front();
}

}  // namespace agentruntime::simulation
