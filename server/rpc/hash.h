// SHA-256 over messages in one byte order.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace agentruntime::rpc {

// 32 bytes.
std::string Sha256(absl::string_view bytes);

// What tells a retry from another request under the same request id: a version byte and a SHA-256 over the request as it was parsed, before defaults,
// without its request_id. The wire order of maps is random in some clients, so the bytes that came cannot be hashed. 33 bytes.
std::string RequestHash(const google::protobuf::Message& request_without_id);

// Takes the id out of the request: `to` gets it, and the hash of what is left.
template <typename Request, typename To>
void TakeRequestId(Request& request, To& to) {
  to.request_id = std::move(*request.mutable_request_id());
  request.clear_request_id();
  to.request_hash = RequestHash(request);
}

}  // namespace agentruntime::rpc
