#include "server/rpc/status.h"

#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "agentruntime/internal/v1/rpc_error.pb.h"
#include "proto/base/log.h"
#include "proto/base/text.h"
#include "proto/util/errors.h"

namespace agentruntime::rpc {
namespace {

void AddDetail(const absl::Status& status, absl::string_view type_url, internal::v1::Status& out) {
  const auto payload = status.GetPayload(type_url);
  if (!payload) return;
  auto* detail = out.add_details();
  detail->set_type_url(std::string(type_url));
  detail->set_value(std::string(*payload));
}

// Drops field violations from the end until the details fit.
void AddBadRequest(const absl::Status& status, internal::v1::Status& out) {
  const auto payload = status.GetPayload(kBadRequestTypeUrl);
  internal::v1::BadRequest bad_request;
  if (!payload || !bad_request.ParseFromString(std::string(*payload))) return;
  const size_t room = kStatusDetailsBytesMax - std::min(kStatusDetailsBytesMax, out.ByteSizeLong() + 64);
  while (bad_request.ByteSizeLong() > room && bad_request.field_violations_size() > 0) bad_request.mutable_field_violations()->RemoveLast();
  if (bad_request.field_violations_size() == 0) return;
  auto* detail = out.add_details();
  detail->set_type_url(std::string(kBadRequestTypeUrl));
  detail->set_value(bad_request.SerializeAsString());
}

}  // namespace

absl::Status ForCaller(absl::Status status, absl::string_view method, absl::string_view subject) {
  if (status.ok() || status.code() == absl::StatusCode::kCancelled) return status;
  const v1::ErrorReason reason = ReasonOf(status);
  if (reason != v1::ERROR_REASON_UNSPECIFIED && reason != v1::ERROR_REASON_INTERNAL) {
    if (absl::IsDataLoss(status)) Log(LogLevel::kError, "call met damage", {{"method", method}, {"subject", subject}, {"error", status.message()}});
    return status;
  }
  Log(LogLevel::kError, "call failed by a fault of the server",
      {{"method", method}, {"subject", subject}, {"code", absl::StatusCodeToString(status.code())}, {"error", status.message()}});
  return InternalError("a fault of the server; its log says more");
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  internal::v1::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(std::string(CutUtf8(status.message(), kStatusMessageBytesMax)));
  const std::string message = details.message();
  AddDetail(status, kErrorInfoTypeUrl, details);
  AddDetail(status, kRetryInfoTypeUrl, details);
  AddBadRequest(status, details);
  // The message stands in grpc-message already; once more only where there is room.
  if (details.ByteSizeLong() > kStatusDetailsBytesMax) details.clear_message();
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message, details.SerializeAsString());
}

}  // namespace agentruntime::rpc
