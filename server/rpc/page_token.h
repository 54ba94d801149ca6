// Page tokens: opaque to callers, bound to their query and to the store that answered it.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentruntime::rpc {

// The query that a list request asks, without its page: its type and every field but `page_token` and `page_size`.
std::string QueryOf(const google::protobuf::Message& request);

// A token that continues `query` after `key`, the last item of the page (at most 64 bytes). Version, hashes of the store's id and of the query, and key under a
// checksum, in base64url: a slip of the pen is refused; it is no secret and grants nothing.
std::string EncodePageToken(absl::string_view store_id, absl::string_view query, absl::string_view key);

// The key; "" for an empty token, the first page. INVALID_ARGUMENT: PageTokenOfOtherStore; PageTokenInvalid for a token of another query or none of ours.
absl::StatusOr<std::string> DecodePageToken(absl::string_view token, absl::string_view store_id, absl::string_view query);

}  // namespace agentruntime::rpc
