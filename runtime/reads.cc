#include "runtime/reads.h"

#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "runtime/steps.h"
#include "runtime/view.h"

namespace agentruntime {

absl::StatusOr<std::pair<std::vector<v1::Run>, bool>> ReadRuns(Store& store, const RunQuery& query, const std::stop_token& stop) {
  ASSIGN_OR_RETURN(const RunPage page, store.ListRuns(query, stop));
  std::pair<std::vector<v1::Run>, bool> listed;
  listed.first.reserve(page.runs.size());
  for (const RunRecord& record : page.runs) listed.first.push_back(SummaryOf(record));
  listed.second = page.more;
  return listed;
}

absl::StatusOr<std::vector<EventPtr>> ReadEvents(Store& store, const RunId& run, Sequence after, ReadLimit limit) {
  ASSIGN_OR_RETURN(std::vector<EventPtr> events, store.ReadEvents(run, after, limit));
  if (events.empty()) {
    ASSIGN_OR_RETURN(const RunRecord record, store.GetRun(run));
    if (after > record.projection.last_sequence) return SequenceBeyondEnd(run, after, record.projection.last_sequence);
  }
  return events;
}

absl::StatusOr<std::pair<std::vector<v1::Step>, bool>> ReadSteps(Store& store, const RunId& run, StepCursor after, ReadLimit limit,
                                                                 const std::stop_token& stop) {
  StepFolder folder(run);
  std::pair<std::vector<v1::Step>, bool> listed;
  int64_t bytes = 0;
  // False when the page is full.
  const auto take = [&](std::vector<v1::Step> steps) {
    for (v1::Step& step : steps) {
      if (step.number() <= after.number) continue;
      bytes += static_cast<int64_t>(step.ByteSizeLong());
      if (!listed.first.empty() && (static_cast<int32_t>(listed.first.size()) >= limit.events_max || bytes > limit.bytes_max)) {
        listed.second = true;
        return false;
      }
      listed.first.push_back(std::move(step));
    }
    return true;
  };
  Sequence cursor = after.last_sequence;
  for (;;) {
    if (stop.stop_requested()) return absl::CancelledError("nobody waits for these steps any more");
    ASSIGN_OR_RETURN(const std::vector<EventPtr> events, store.ReadEvents(run, cursor, ReadLimit()));
    if (events.empty()) break;
    for (const EventPtr& event : events) folder.Add(*event);
    cursor = events.back()->sequence();
    if (!take(folder.TakeComplete())) return listed;
  }
  take(folder.Finish());
  return listed;
}

}  // namespace agentruntime
