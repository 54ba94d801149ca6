#include "server/outbound.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/base/log.h"
#include "runtime/http/network_thread.h"

namespace agentruntime {
namespace {

struct Asked {
  std::string field;
  int64_t requests = 0;
  bool set_there = true;  // by that field; else the number is ours
};

}  // namespace

absl::StatusOr<int> OutboundRequests(const config::v1::ServerConfig& config, int64_t descriptors_max) {
  int64_t sum = 0;
  Asked most;
  const auto add = [&](std::string field, int64_t requests, bool set_there = true) {
    sum += requests;
    if (requests > most.requests) most = {std::move(field), requests, set_there};
  };
  for (int i = 0; i < config.models_size(); ++i) {
    if (config.models(i).has_openai()) add(absl::StrCat("models[", i, "].openai.connections_max"), config.models(i).openai().connections_max());
  }
  for (int i = 0; i < config.tools_size(); ++i) {
    if (config.tools(i).has_http_call()) add(absl::StrCat("tools[", i, "].http_call.connections_max"), config.tools(i).http_call().connections_max());
    // Says nothing itself; the client bounds what asks one host.
    if (config.tools(i).has_http_get()) add(absl::StrCat("tools[", i, "].http_get"), NetworkOptions().connections_per_origin_max, /*set_there=*/false);
  }
  const int64_t room = std::min(kOutboundRequestsMax, std::max<int64_t>(1, descriptors_max - kDescriptorsReserved));
  if (most.requests > room) {
    return absl::InvalidArgumentError(absl::StrCat(
        most.field, ": ", most.requests, " requests at once do not fit: this process may open ", descriptors_max, " files, and ", kDescriptorsReserved,
        " of them are for callers and the store; raise its limit (ulimit -n, LimitNOFILE)", most.set_there ? absl::StrCat(", or ask for at most ", room) : ""));
  }
  if (sum > room) {
    Log(LogLevel::kWarn,
        "models and tools together may ask for more requests at once than fit; those over it wait in turn; a tool's timeout and a run's count that",
        {{"asked", absl::StrCat(sum)}, {"fit", absl::StrCat(room)}});
  }
  return static_cast<int>(std::clamp<int64_t>(sum, 1, room));
}

}  // namespace agentruntime
