#include "server/config_faults.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/util/yaml.h"

namespace agentruntime {
namespace {

constexpr size_t kLinesMax = 20;

}  // namespace

void ConfigFaults::Add(absl::string_view path, absl::string_view description) {
  std::string place = file_;
  for (absl::string_view around = path; !around.empty() && place == file_;) {
    place = YamlPosition(file_, text_, around);
    const size_t cut = around.find_last_of(".[");
    around = cut == absl::string_view::npos ? absl::string_view() : around.substr(0, cut);
  }
  lines_.push_back(absl::StrCat(place, ": ", path, ": ", description));
}

absl::Status ConfigFaults::status() const {
  if (ok()) return absl::OkStatus();
  std::vector<std::string> shown(lines_.begin(), lines_.begin() + static_cast<std::ptrdiff_t>(std::min(lines_.size(), kLinesMax)));
  if (lines_.size() > kLinesMax) shown.push_back(absl::StrCat("and ", lines_.size() - kLinesMax, " more"));
  return absl::InvalidArgumentError(absl::StrJoin(shown, "\n"));
}

}  // namespace agentruntime
