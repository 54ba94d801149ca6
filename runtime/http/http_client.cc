#include "runtime/http/http_client.h"

#include "absl/strings/match.h"

namespace agentruntime {

absl::string_view HttpHead::Find(absl::string_view name) const {
  for (const HttpHeader& header : headers) {
    if (absl::EqualsIgnoreCase(header.name, name)) return header.value;
  }
  return {};
}

}  // namespace agentruntime
