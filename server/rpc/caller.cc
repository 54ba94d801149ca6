#include "server/rpc/caller.h"

#include <string>

#include "absl/strings/ascii.h"

namespace agentruntime::rpc {
namespace {

// version-trace-parent-flags: 2, 32, 16 and 2 lower-case hex digits.
bool IsTraceparent(const std::string& text) {
  constexpr size_t kLength = 55;
  if (text.size() != kLength) return false;
  for (size_t i = 0; i < kLength; ++i) {
    const bool dash = i == 2 || i == 35 || i == 52;
    const auto c = static_cast<unsigned char>(text[i]);
    if (dash ? c != '-' : !(absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

}  // namespace

Caller CallerOf(const grpc::CallbackServerContext& context) {
  Caller caller;
  const auto found = context.client_metadata().find("traceparent");
  if (found != context.client_metadata().end()) {
    std::string text(found->second.data(), found->second.size());
    if (IsTraceparent(text)) caller.traceparent = std::move(text);
  }
  return caller;
}

}  // namespace agentruntime::rpc
