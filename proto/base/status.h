// Short forms for absl::Status. Our Abseil is older than its own status macros.
// Source of the idea: abseil/abseil-cpp, absl/status/status_macros.h.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace agentruntime {

// A copy that shares no reference count with `status`, payloads included. A non-OK Status is moved between threads or cloned, never copied: copies share
// a counter that Debian's uninstrumented Abseil touches where the race detector cannot see it.
absl::Status CloneStatus(const absl::Status& status);

}  // namespace agentruntime

#define AGENTRUNTIME_CONCAT_INNER(a, b) a##b
#define AGENTRUNTIME_CONCAT(a, b) AGENTRUNTIME_CONCAT_INNER(a, b)

// Returns from the function unless `expression` is OK.
#define RETURN_IF_ERROR(expression)                                         \
  do {                                                                      \
    if (absl::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

// The same in a coroutine.
#define CO_RETURN_IF_ERROR(expression)                                         \
  do {                                                                         \
    if (absl::Status status_ = (expression); !status_.ok()) co_return status_; \
  } while (false)

// ASSIGN_OR_RETURN(auto value, F()): declares or assigns, or returns F's error.
#define ASSIGN_OR_RETURN(declaration, expression) AGENTRUNTIME_ASSIGN_OR(return, AGENTRUNTIME_CONCAT(status_or_, __LINE__), declaration, expression)

// The same in a coroutine; `expression` may contain co_await.
#define CO_ASSIGN_OR_RETURN(declaration, expression) AGENTRUNTIME_ASSIGN_OR(co_return, AGENTRUNTIME_CONCAT(status_or_, __LINE__), declaration, expression)

#define AGENTRUNTIME_ASSIGN_OR(leave, name, declaration, expression) \
  auto name = (expression);                                          \
  if (!name.ok()) leave std::move(name).status();                    \
  declaration = *std::move(name)
