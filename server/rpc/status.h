// absl::Status to what a gRPC client receives: a canonical code, a sentence, and google.rpc.Status in `grpc-status-details-bin`.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace agentruntime::rpc {

// Trailing metadata of a call is at most 8 KiB for common clients, over it they see a broken call: so message and details are bounded, and violations
// beyond the bound are left out from the end.
inline constexpr size_t kStatusMessageBytesMax = 1024;
inline constexpr size_t kStatusDetailsBytesMax = 3072;

// The status as it may leave. Errors of proto/util/errors.h pass unchanged, CANCELLED too; INTERNAL and everything without a reason of ours is a fault of
// ours: it is logged, once, here, with `method` and `subject` (the run or agent it is about, may be empty), and the caller hears only that it happened.
absl::Status ForCaller(absl::Status status, absl::string_view method, absl::string_view subject);

// The same code, message and details.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace agentruntime::rpc
