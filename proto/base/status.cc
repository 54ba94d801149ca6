#include "proto/base/status.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"

namespace agentruntime {

absl::Status CloneStatus(const absl::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status clone(status.code(), std::string(status.message()));
  status.ForEachPayload(
      [&clone](absl::string_view type_url, const absl::Cord& payload) { clone.SetPayload(type_url, absl::Cord(absl::string_view(std::string(payload)))); });
  return clone;
}

}  // namespace agentruntime
