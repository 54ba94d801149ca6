#include "runtime/event_size.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"

namespace agentruntime {
namespace {

constexpr int64_t kEnvelopeBytes = 1024;  // sequence, times, step, epoch, which are set later, and the names of what is kept

}  // namespace

absl::Status CheckEventSize(const v1::Event& event) {
  const auto bytes = static_cast<int64_t>(event.ByteSizeLong());
  if (bytes <= kEventBytesMax - kEnvelopeBytes) return absl::OkStatus();
  return InvalidField("request", absl::StrCat("takes ", bytes, " bytes in the run's journal; at most ", kEventBytesMax - kEnvelopeBytes, " fit; send less"));
}

}  // namespace agentruntime
