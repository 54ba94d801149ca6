// SHA-256 over messages in one byte order.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime::rpc {

// 32 bytes.
std::string Sha256(absl::string_view bytes);

// What tells a retry from another request under the same request id: a version byte and a SHA-256 over the request as it was parsed, before defaults,
// without its request_id. The wire order of maps is random in some clients, so the bytes that came cannot be hashed. 33 bytes.
std::string RequestHash(const google::protobuf::Message& request_without_id);

}  // namespace agentruntime::rpc
