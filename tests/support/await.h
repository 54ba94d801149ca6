// Waiting for what nobody tells: it is asked for again and again.
#pragma once

#include <gtest/gtest.h>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace agentruntime::testing {

// Until `condition()` holds. False: it did not within a minute, which fails the test; `what` ends the sentence "a minute passed and it is not so that".
template <typename Condition>
bool AwaitThat(absl::string_view what, Condition condition) {
  const absl::Time until = absl::Now() + absl::Minutes(1);
  while (!condition()) {
    if (absl::Now() < until) continue;
    ADD_FAILURE() << "a minute passed and it is not so that " << what;
    return false;
  }
  return true;
}

}  // namespace agentruntime::testing
