// What a server answered, in words for a model.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "runtime/http/http_client.h"

namespace agentruntime {

// Whether a body can be shown as text: by its content type, or without one by its bytes.
bool IsTextBody(absl::string_view content_type, absl::string_view body);

// Of an answer that is no result: `HTTP 503 "the first line or two of its body"`.
std::string SaidByServer(const HttpOutcome& http);

}  // namespace agentruntime
