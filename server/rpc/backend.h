// What the RPCs work with.
#pragma once

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "agentruntime/v1/run.pb.h"
#include "runtime/runtime.h"

namespace agentruntime::rpc {

// Built once, before the listener opens; thread-safe since it never changes.
struct Backend {
  Runtime* runtime = nullptr;
  v1::Limits default_limits;
  v1::Limits maximum_limits;
  std::string store_id;
  std::string node;
  std::string currency_code;
  absl::Time start_time;
  int64_t running_max = 0;
  int64_t queued_max = 0;
  absl::Duration drain_grace;
  std::function<void(absl::Duration grace)> drain;  // returns at once
};

}  // namespace agentruntime::rpc
