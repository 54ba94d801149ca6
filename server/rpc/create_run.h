// What CreateRun and RunAgent share: the same request id and content mean the same run in both.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/rpc/backend.h"

namespace agentruntime::rpc {

// A checked request. INVALID_ARGUMENT.
absl::StatusOr<CreateRequest> ToCreateRequest(bool has_run, v1::Run run, std::string request_id);

}  // namespace agentruntime::rpc
