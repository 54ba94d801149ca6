#include "runtime/load.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/serialize.h"
#include "proto/util/time.h"
#include "runtime/view.h"

namespace agentruntime {
namespace {

bool Same(const google::protobuf::Message& a, const google::protobuf::Message& b) { return SerializeDeterministically(a) == SerializeDeterministically(b); }

// The half of the row that is written once, against the run's first own event. Older ones say nothing of the request's hash, and that of a run that answers a
// call says nothing of its request: it is the call. How a title is cut is no business of the journal.
template <typename Accepted>
bool AgreesWith(const Accepted& first, const RunRecord& kept) {
  const std::map<std::string, std::string> labels(first.labels().begin(), first.labels().end());
  return first.agent() == kept.agent && labels == kept.labels && first.tenant() == kept.tenant &&
         (first.request_id().empty() || first.request_id() == kept.request_id) && (first.request_hash().empty() || first.request_hash() == kept.request_hash);
}

bool AcceptedAgrees(const RunState& folded, const RunRecord& kept) {
  if (FromProto(folded.accepted().time()) != kept.create_time) return false;
  if (folded.forked == nullptr) {
    const v1::RunCreated& created = folded.created->run_created();
    return !kept.forked_from && created.conversation() == kept.conversation && AgreesWith(created, kept);
  }
  const v1::RunForked& forked = folded.forked->run_forked();
  return kept.forked_from && Same(ToProto(*kept.forked_from), forked.source()) && kept.conversation.empty() && AgreesWith(forked, kept);
}

// Of what lists and queries say of a run, what its journal alone decides in every version. The others an older version may have told otherwise: what the run
// does now, when it wakes, how its waiting calls are shown, which starts count as barren.
bool StateAgrees(const RunProjection& folded, const RunProjection& kept) {
  return folded.state == kept.state && folded.last_step == kept.last_step && folded.answer_sequence == kept.answer_sequence &&
         folded.priority == kept.priority && folded.not_before == kept.not_before && folded.deadline == kept.deadline && folded.start_time == kept.start_time &&
         folded.update_time == kept.update_time && folded.stop_time == kept.stop_time && folded.stop.has_value() == kept.stop.has_value() &&
         (!kept.stop || Same(*folded.stop, *kept.stop)) && Same(folded.usage, kept.usage) && Same(folded.limits, kept.limits);
}

}  // namespace

absl::StatusOr<RunState> LoadState(RunReader& store, const RunId& run) {
  ASSIGN_OR_RETURN(const RunRecord record, store.GetRun(run));
  RunState state;
  state.id = run;
  while (state.last_sequence < record.projection.last_sequence) {
    ASSIGN_OR_RETURN(const std::vector<EventPtr> events, store.ReadEvents(run, state.last_sequence, ReadLimit()));
    if (events.empty()) return RunDamaged(run, absl::StrCat("events after ", state.last_sequence, " are missing"));
    for (const EventPtr& event : events) {
      if (event->sequence() != state.last_sequence + 1) return RunDamaged(run, absl::StrCat("event ", state.last_sequence + 1, " is missing"));
      Apply(state, event);
    }
  }
  // A batch may have been committed between the two reads: then the fold is ahead of the columns that were read, and there is nothing to compare.
  if (state.last_sequence == record.projection.last_sequence) {
    if (!AcceptedAgrees(state, record) || !StateAgrees(ProjectionOf(state), record.projection)) return RunDamaged(run, "its journal and its columns differ");
  }
  return state;
}

absl::StatusOr<v1::Run> LoadRun(Store& store, const RunId& run) {
  ASSIGN_OR_RETURN(const RunRecord record, store.GetRun(run));
  v1::Run loaded = SummaryOf(record);
  *loaded.mutable_limits() = record.projection.limits;
  if (record.projection.deadline) *loaded.mutable_deadline() = ToProto(*record.projection.deadline);
  const ReadLimit one{.events_max = 1};
  ASSIGN_OR_RETURN(const std::vector<EventPtr> first, store.ReadEvents(run, 0, one));
  if (first.empty() || !first.front()->has_run_created()) return RunDamaged(run, "event 1 is missing");
  *loaded.mutable_input() = first.front()->run_created().input();
  if (!record.forked_from) loaded.set_parent_call(first.front()->run_created().parent_call());
  if (const Sequence answer = record.projection.answer_sequence; answer > 0) {
    ASSIGN_OR_RETURN(const std::vector<EventPtr> events, store.ReadEvents(run, answer - 1, one));
    if (events.empty() || events.front()->sequence() != answer) return RunDamaged(run, absl::StrCat("event ", answer, " is missing"));
    *loaded.mutable_answer() = AnswerIn(*events.front());
  }
  return loaded;
}

}  // namespace agentruntime
