#include "clients/cpp/error.h"

#include <grpcpp/support/status.h>

#include "absl/strings/cord.h"
#include "agentruntime/internal/v1/rpc_error.pb.h"
#include "proto/util/time.h"

namespace agentruntime::client {
namespace {

template <typename Message>
bool Decode(const absl::Status& status, absl::string_view type_url, Message& message) {
  const auto payload = status.GetPayload(type_url);
  return payload.has_value() && message.ParseFromString(std::string(*payload));
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status converted(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  internal::v1::Status details;
  if (!details.ParseFromString(status.error_details())) return converted;
  for (const auto& detail : details.details()) converted.SetPayload(detail.type_url(), absl::Cord(absl::string_view(detail.value())));
  return converted;
}

ErrorDetails DetailsOf(const absl::Status& status) {
  ErrorDetails details;
  if (internal::v1::ErrorInfo info; Decode(status, kErrorInfoTypeUrl, info) && info.domain() == kErrorDomain) {
    details.reason = info.reason();
    details.metadata.insert(info.metadata().begin(), info.metadata().end());
  }
  if (internal::v1::BadRequest bad_request; Decode(status, kBadRequestTypeUrl, bad_request)) {
    for (const auto& violation : bad_request.field_violations()) details.violations.push_back({violation.field(), violation.description()});
  }
  if (internal::v1::RetryInfo retry; Decode(status, kRetryInfoTypeUrl, retry)) details.retry_delay = FromProto(retry.retry_delay());
  return details;
}

bool IsUnreachable(const absl::Status& status) { return (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) && DetailsOf(status).reason.empty(); }

bool IsCut(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return true;
  // gRPC reports a stream reset by a dying peer as INTERNAL, UNKNOWN or CANCELLED, one that the server's gRPC cuts off to save memory as RESOURCE_EXHAUSTED;
  // the server's own errors carry a reason.
  const bool may_be_cut = absl::IsInternal(status) || absl::IsUnknown(status) || absl::IsCancelled(status) || absl::IsResourceExhausted(status);
  return may_be_cut && DetailsOf(status).reason.empty();
}

}  // namespace agentruntime::client
