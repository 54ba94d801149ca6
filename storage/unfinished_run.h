// What a start is told of a run that has not stopped, as its row says. The same for every store.
#pragma once

#include "absl/time/time.h"
#include "proto/util/time.h"
#include "storage/types.h"

namespace agentruntime {

inline UnfinishedRun UnfinishedOf(const RunRecord& record, Epoch epoch) {
  const RunProjection& projection = record.projection;
  return {.id = record.id,
          .state = projection.state,
          .barren_starts = projection.barren_starts,
          .priority = projection.priority,
          .wake_time = projection.wake_time,
          .deadline = projection.deadline,
          .active_time = FromProto(projection.usage.active_time()),
          .timeout = projection.limits.has_timeout() ? FromProto(projection.limits.timeout()) : absl::InfiniteDuration(),
          .epoch = epoch};
}

}  // namespace agentruntime
