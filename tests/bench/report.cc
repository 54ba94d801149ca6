#include "tests/bench/report.h"

#include <cmath>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace agentruntime::bench {
namespace {

// Four digits that count.
std::string Number(double value) {
  if (!std::isfinite(value)) return "null";
  const double size = std::fabs(value);
  return absl::StrFormat("%.*f", size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4, value);
}

std::optional<double> RatioOf(const Row& row) {
  if (!row.floor || *row.floor == 0) return std::nullopt;
  return row.value / *row.floor;
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string NumberOr(const std::optional<double>& value, const char* none) { return value ? Number(*value) : none; }

}  // namespace

void Report::Add(Row row) {
  if (rows_.empty()) std::printf("revision %s\n%-44s %10s %-10s %10s %7s\n", revision_.c_str(), "name", "value", "unit", "floor", "ratio");
  std::printf("%-44s %10s %-10s %10s %7s%s\n", row.name.c_str(), Number(row.value).c_str(), row.unit.c_str(), NumberOr(row.floor, "").c_str(),
              NumberOr(RatioOf(row), "").c_str(),
              row.target.empty() ? ""
              : row.met          ? "  met"
                                 : "  MISSED");
  std::fflush(stdout);
  rows_.push_back(std::move(row));
}

void Report::PrintTargets() const {
  int targets = 0;
  int met = 0;
  for (const Row& row : rows_) {
    if (row.target.empty()) continue;
    if (targets++ == 0) std::printf("\n%-44s %10s %-10s %-7s target\n", "targets", "value", "unit", "");
    if (row.met) ++met;
    std::printf("%-44s %10s %-10s %-7s %s\n", row.name.c_str(), Number(row.value).c_str(), row.unit.c_str(), row.met ? "met" : "MISSED", row.target.c_str());
  }
  if (targets > 0) std::printf("%d of %d targets met\n", met, targets);
}

std::string Report::Json() const {
  std::string json = "[";
  for (const Row& row : rows_) {
    absl::StrAppend(&json, json.size() == 1 ? "\n" : ",\n", "{\"name\": ", Quoted(row.name), ", \"value\": ", Number(row.value),
                    ", \"unit\": ", Quoted(row.unit), ", \"floor\": ", NumberOr(row.floor, "null"), ", \"ratio\": ", NumberOr(RatioOf(row), "null"),
                    ", \"revision\": ", Quoted(revision_));
    if (!row.target.empty()) absl::StrAppend(&json, ", \"target\": ", Quoted(row.target), ", \"met\": ", row.met ? "true" : "false");
    json += "}";
  }
  return json + "\n]\n";
}

}  // namespace agentruntime::bench
