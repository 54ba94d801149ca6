#include "proto/util/time.h"

namespace agentruntime {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int32_t kNanosPerMicro = 1'000;

}  // namespace

google::protobuf::Timestamp ToProto(absl::Time time) {
  const int64_t micros = absl::ToUnixMicros(time);  // floors
  int64_t seconds = micros / kMicrosPerSecond;
  int64_t rest = micros % kMicrosPerSecond;
  if (rest < 0) {
    rest += kMicrosPerSecond;
    --seconds;
  }
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(static_cast<int32_t>(rest * kNanosPerMicro));
  return timestamp;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  const int64_t micros = absl::ToInt64Microseconds(duration);
  google::protobuf::Duration message;
  message.set_seconds(micros / kMicrosPerSecond);  // both parts have the sign of the whole, as Duration wants
  message.set_nanos(static_cast<int32_t>(micros % kMicrosPerSecond * kNanosPerMicro));
  return message;
}

absl::Time FromProto(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Microseconds(timestamp.nanos() / kNanosPerMicro);
}

absl::Duration FromProto(const google::protobuf::Duration& duration) { return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos()); }

}  // namespace agentruntime
