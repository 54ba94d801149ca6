#include "proto/util/errors.h"

#include <initializer_list>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "agentruntime/internal/v1/rpc_error.pb.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime {
namespace {

constexpr absl::string_view kReasonPrefix = "ERROR_REASON_";
constexpr absl::Duration kRetryDelay = absl::Seconds(1);

using Metadata = std::initializer_list<std::pair<absl::string_view, std::string>>;

// From a view: clang 19 mangles Cord's constructor from std::string otherwise than the compiler of Debian's Abseil did.
absl::Cord ToCord(const google::protobuf::Message& message) { return absl::Cord(absl::string_view(message.SerializeAsString())); }

absl::Status Make(absl::StatusCode code, v1::ErrorReason reason, absl::string_view message, Metadata metadata = {}) {
  absl::Status status(code, message);
  internal::v1::ErrorInfo info;
  info.set_reason(std::string(absl::StripPrefix(v1::ErrorReason_Name(reason), kReasonPrefix)));
  info.set_domain(std::string(kErrorDomain));
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[std::string(key)] = value;
  status.SetPayload(kErrorInfoTypeUrl, ToCord(info));
  return status;
}

absl::Status WithRetry(absl::Status status, absl::Duration delay) {
  internal::v1::RetryInfo retry;
  *retry.mutable_retry_delay() = ToProto(delay);
  status.SetPayload(kRetryInfoTypeUrl, ToCord(retry));
  return status;
}

absl::Status PageTokenRefused(const std::string& description) {
  absl::Status status = Make(absl::StatusCode::kInvalidArgument, v1::ERROR_REASON_PAGE_TOKEN_INVALID, absl::StrCat("page_token: ", description));
  internal::v1::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field("page_token");
  violation->set_description(description);
  status.SetPayload(kBadRequestTypeUrl, ToCord(bad_request));
  return status;
}

}  // namespace

absl::Status InvalidFields(const std::vector<FieldViolation>& violations) {
  const std::string message = absl::StrJoin(
      violations, "; ", [](std::string* out, const FieldViolation& violation) { absl::StrAppend(out, violation.field, ": ", violation.description); });
  absl::Status status = Make(absl::StatusCode::kInvalidArgument, v1::ERROR_REASON_INVALID_FIELD, message);
  internal::v1::BadRequest bad_request;
  for (const FieldViolation& violation : violations) {
    auto* added = bad_request.add_field_violations();
    added->set_field(violation.field);
    added->set_description(violation.description);
  }
  status.SetPayload(kBadRequestTypeUrl, ToCord(bad_request));
  return status;
}

absl::Status InvalidField(absl::string_view field, absl::string_view description) { return InvalidFields({{std::string(field), std::string(description)}}); }

absl::Status RunNotFound(const RunId& run) {
  return Make(absl::StatusCode::kNotFound, v1::ERROR_REASON_RUN_NOT_FOUND, absl::StrCat("there is no ", RunName(run), "; it may have been deleted"),
              {{"run", RunName(run)}});
}

absl::Status StepNotFound(const RunId& run, int32_t number) {
  return Make(absl::StatusCode::kNotFound, v1::ERROR_REASON_STEP_NOT_FOUND, absl::StrCat(RunName(run), " has no step ", number),
              {{"step", FormatStepName(run, number)}});
}

absl::Status ArtifactNotFound(const RunId& run, int32_t number) {
  const std::string name = FormatArtifactName(run, number);
  return Make(absl::StatusCode::kNotFound, v1::ERROR_REASON_ARTIFACT_NOT_FOUND,
              absl::StrCat("there is no ", name, "; the results in ListSteps name those there are"), {{"artifact", name}});
}

absl::Status ArtifactDamaged(const RunId& run, int32_t number, absl::string_view why) {
  const std::string name = FormatArtifactName(run, number);
  return Make(absl::StatusCode::kDataLoss, v1::ERROR_REASON_RUN_DAMAGED,
              absl::StrCat(name, " is damaged (", why, "); restore it from a backup, or call the tool again in a new run"),
              {{"run", RunName(run)}, {"artifact", name}});
}

absl::Status OffsetBeyondEnd(const RunId& run, int32_t number, int64_t offset, int64_t bytes) {
  const std::string name = FormatArtifactName(run, number);
  return Make(absl::StatusCode::kOutOfRange, v1::ERROR_REASON_INVALID_FIELD,
              absl::StrCat("offset: ", offset, " lies beyond the end of ", name, ", which has ", bytes, " bytes"),
              {{"artifact", name}, {"total_bytes", absl::StrCat(bytes)}});
}

absl::Status CallNotFound(const RunId& run, const CallId& call) {
  return Make(absl::StatusCode::kNotFound, v1::ERROR_REASON_CALL_NOT_FOUND,
              absl::StrCat("call_id: ", RunName(run), " has no call ", call.ToString(), "; its waiting_calls name those that wait"),
              {{"run", RunName(run)}, {"call_id", call.ToString()}});
}

absl::Status CallNotWaiting(const RunId& run, const CallId& call) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_CALL_NOT_WAITING,
              absl::StrCat("call_id: call ", call.ToString(), " of ", RunName(run),
                           " does not wait for a person: it is under way, or was answered, or its run is stopping"),
              {{"run", RunName(run)}, {"call_id", call.ToString()}});
}

absl::Status AnswerUnfit(const RunId& run, const CallId& call, absl::string_view waits_for, absl::string_view answers) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_ANSWER_UNFIT,
              absl::StrCat("answer: call ", call.ToString(), " of ", RunName(run), " waits for ", waits_for, "; give ", answers),
              {{"run", RunName(run)}, {"call_id", call.ToString()}});
}

absl::Status AgentNotFound(absl::string_view name) {
  return Make(absl::StatusCode::kNotFound, v1::ERROR_REASON_AGENT_NOT_FOUND,
              absl::StrCat("there is no ", name, "; ListAgents (agentctl agents) names those there are"), {{"agent", std::string(name)}});
}

absl::Status AgentExists(absl::string_view name) {
  return Make(absl::StatusCode::kAlreadyExists, v1::ERROR_REASON_AGENT_EXISTS, absl::StrCat(name, " exists; use UpdateAgent to change it"),
              {{"agent", std::string(name)}});
}

absl::Status AgentsFull(int64_t agents_max) {
  return Make(
      absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_AGENTS_FULL,
      absl::StrCat("agent.name: the server has ", agents_max, " agents, as many as it keeps; change one of them with UpdateAgent (ListAgents names them)"),
      {{"limit", absl::StrCat(agents_max)}});
}

absl::Status RevisionsFull(absl::string_view agent, int64_t revisions_max) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_AGENTS_FULL,
              absl::StrCat("agent.name: ", agent, " has ", revisions_max,
                           " revisions, as many as are kept of one agent; give what is changed as an agent of another name"),
              {{"agent", std::string(agent)}, {"limit", absl::StrCat(revisions_max)}});
}

absl::Status RequestIdReused(absl::string_view request_id, const RunId& run) {
  return Make(absl::StatusCode::kAlreadyExists, v1::ERROR_REASON_REQUEST_ID_REUSED,
              absl::StrCat("request_id: \"", request_id, "\" was used for ", RunName(run), " with other content; use another id for another request"),
              {{"request_id", std::string(request_id)}, {"run", RunName(run)}});
}

absl::Status RequestIdOfDeletedRun(absl::string_view request_id, const RunId& run) {
  return Make(absl::StatusCode::kAlreadyExists, v1::ERROR_REASON_REQUEST_ID_REUSED,
              absl::StrCat("request_id: \"", request_id, "\" was used for ", RunName(run), ", which was deleted; use another id to run it again"),
              {{"request_id", std::string(request_id)}, {"run", RunName(run)}});
}

absl::Status EtagStale(absl::string_view agent) {
  return Make(absl::StatusCode::kAborted, v1::ERROR_REASON_ETAG_STALE,
              absl::StrCat("agent.etag: ", agent, " was changed since it was read; read it again and repeat the change"), {{"agent", std::string(agent)}});
}

absl::Status EtagOfMissingAgent(absl::string_view agent) {
  return Make(absl::StatusCode::kAborted, v1::ERROR_REASON_ETAG_STALE,
              absl::StrCat("agent.etag: there is no ", agent, ", so nothing has this etag; leave the etag out to make the agent"),
              {{"agent", std::string(agent)}});
}

absl::Status RunNotStopped(const RunId& run, v1::RunState state) {
  const std::string word(absl::StripPrefix(v1::RunState_Name(state), "RUN_STATE_"));
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_RUN_NOT_STOPPED,
              absl::StrCat(RunName(run), " is ", word, ", not STOPPED; wait for its stop, or cancel it first"), {{"run", RunName(run)}, {"state", word}});
}

absl::Status DamagedRunNotStopped(const RunId& run, const absl::Status& damage) {
  return Make(damage.code(), ReasonOf(damage),
              absl::StrCat(RunName(run), " is kept: it has not stopped, and cannot be cancelled either, since ", damage.message()), {{"run", RunName(run)}});
}

absl::Status RunHasForks(const RunId& run, const RunId& fork) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_RUN_HAS_FORKS,
              absl::StrCat(RunName(fork), " is a fork of ", RunName(run), " and shares its journal; delete the fork first"),
              {{"run", RunName(run)}, {"fork", RunName(fork)}});
}

absl::Status StepNotOver(const RunId& run, int32_t step) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_STEP_NOT_OVER,
              absl::StrCat("step: step ", step, " of ", RunName(run), " has calls that are not settled; fork at an earlier step, or when it is over"),
              {{"run", RunName(run)}, {"step", absl::StrCat(step)}});
}

absl::Status ForkTooDeep(const RunId& run) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_FORK_TOO_DEEP,
              absl::StrCat(RunName(run), " is a fork of a fork, ", kForkDepthMax, " deep, which is the most; fork one before it, or submit a new run"),
              {{"run", RunName(run)}, {"depth", absl::StrCat(kForkDepthMax)}});
}

absl::Status ConversationBusy(const RunId& active) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_CONVERSATION_BUSY,
              absl::StrCat("run.conversation: ", RunName(active),
                           " of this conversation has not stopped; wait for its stop, cancel it, or tell it more with SendInput"),
              {{"run", RunName(active)}});
}

absl::Status ConversationOvertaken(const RunId& stopped) {
  return Make(absl::StatusCode::kAborted, v1::ERROR_REASON_CONVERSATION_BUSY,
              absl::StrCat("run.conversation: ", RunName(stopped), " came to this conversation and stopped while this run was being accepted, ",
                           "which would not read it; submit again"),
              {{"run", RunName(stopped)}});
}

absl::Status ConversationDamaged(const RunId& active, const absl::Status& damage) {
  return Make(damage.code(), ReasonOf(damage),
              absl::StrCat("run.conversation: ", RunName(active),
                           " of this conversation has not stopped, and cannot be cancelled either: go on in another conversation, since ", damage.message()),
              {{"run", RunName(active)}});
}

absl::Status ConversationWentOn(const RunId& run, const RunId& later) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_CONVERSATION_BUSY,
              absl::StrCat("the conversation of ", RunName(run), " went on with ", RunName(later), "; resume that one, or submit a new run of it"),
              {{"run", RunName(run)}, {"later_run", RunName(later)}});
}

absl::Status RunAnswered(const RunId& run) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_RUN_ANSWERED,
              absl::StrCat(RunName(run), " gave its final answer, which never changes; submit a new run to say more"), {{"run", RunName(run)}});
}

absl::Status RunNotResumable(const RunId& run, absl::string_view why) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_RUN_NOT_RESUMABLE,
              absl::StrCat(RunName(run), " cannot go on: ", why, "; submit a new run"), {{"run", RunName(run)}});
}

absl::Status RunAnswersCall(const RunId& run, absl::string_view parent_call) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_RUN_ANSWERS_CALL,
              absl::StrCat(RunName(run), " answers ", parent_call, ", which takes its stop as the result; resume or fork that run, or fork this one"),
              {{"run", RunName(run)}, {"parent_call", std::string(parent_call)}});
}

absl::Status RunTakesNoInput(const RunId& run, absl::string_view why) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_RUN_TAKES_NO_INPUT, absl::StrCat(RunName(run), " takes no input: ", why),
              {{"run", RunName(run)}});
}

absl::Status JournalFull(const RunId& run) {
  return Make(absl::StatusCode::kResourceExhausted, v1::ERROR_REASON_JOURNAL_FULL,
              absl::StrCat("the journal of ", RunName(run), " is full: it keeps at most ", kEventsMax, " events and ", kJournalBytesMax,
                           " bytes; submit a new run to say more"),
              {{"run", RunName(run)}});
}

absl::Status NoRoomToFork(const RunId& run, int32_t step) {
  return Make(absl::StatusCode::kResourceExhausted, v1::ERROR_REASON_JOURNAL_FULL,
              absl::StrCat("step: ", step, " of ", RunName(run), " ends where its journal is nearly full: it keeps at most ", kEventsMax, " events and ",
                           kJournalBytesMax, " bytes; fork at an earlier step"),
              {{"run", RunName(run)}});
}

absl::Status DeadlineNotRaised(const RunId& run) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_LIMIT_NOT_RAISED,
              absl::StrCat("deadline: ", RunName(run), " was stopped by its deadline; give a later one, that is to come"),
              {{"run", RunName(run)}, {"limit", "deadline"}});
}

absl::Status LimitNotRaised(const RunId& run, const v1::LimitHit& limit) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_LIMIT_NOT_RAISED,
              absl::StrCat("limits.", limit.limit(), ": ", RunName(run), " was stopped by it at ", limit.count(), "; raise it above ", limit.count(),
                           limit.limit() == "timeout"       ? " ms"
                           : limit.limit() == "max_repeats" ? ", or give input that breaks the repetition"
                                                            : ""),
              {{"run", RunName(run)}, {"limit", limit.limit()}, {"value", absl::StrCat(limit.value())}, {"count", absl::StrCat(limit.count())}});
}

absl::Status AgentUnusable(absl::string_view agent, absl::string_view why) {
  return Make(absl::StatusCode::kFailedPrecondition, v1::ERROR_REASON_AGENT_UNUSABLE, absl::StrCat(agent, ": ", why), {{"agent", std::string(agent)}});
}

absl::Status AgentDamaged(absl::string_view name, absl::string_view why) {
  return Make(absl::StatusCode::kDataLoss, v1::ERROR_REASON_AGENT_UNUSABLE,
              absl::StrCat(name, " is damaged (", why,
                           "); apply the agent again, which makes a new revision, and fork the runs of the damaged one to it, or restore a backup"),
              {{"agent", std::string(name)}});
}

absl::Status SequenceBeyondEnd(const RunId& run, Sequence after, Sequence last) {
  return Make(absl::StatusCode::kOutOfRange, v1::ERROR_REASON_SEQUENCE_BEYOND_END,
              absl::StrCat("after_sequence: ", after, " lies beyond the last event of ", RunName(run), ", which is ", last),
              {{"run", RunName(run)}, {"last_sequence", absl::StrCat(last)}});
}

absl::Status PageTokenInvalid() { return PageTokenRefused("it is not a token of this query; repeat the query it came with, or leave it out to begin again"); }

absl::Status PageTokenOfOtherStore() {
  return PageTokenRefused("it is of another store, or of this one before it was restored, where pages were others; leave it out to begin again");
}

absl::Status QueueFull(absl::string_view what, int64_t limit) {
  return WithRetry(
      Make(absl::StatusCode::kResourceExhausted, v1::ERROR_REASON_QUEUE_FULL,
           absl::StrCat("the server holds ", limit, " ", what, ", its limit; try again later with the same request_id"), {{"limit", absl::StrCat(limit)}}),
      kRetryDelay);
}

absl::Status TooManyAtOnce(absl::string_view what, int64_t limit) {
  return WithRetry(Make(absl::StatusCode::kResourceExhausted, v1::ERROR_REASON_QUEUE_FULL,
                        absl::StrCat("the server holds ", limit, " ", what, ", its limit; try again later"), {{"limit", absl::StrCat(limit)}}),
                   kRetryDelay);
}

absl::Status ServerDraining(std::optional<Sequence> last_sequence) {
  if (!last_sequence) {
    return WithRetry(Make(absl::StatusCode::kUnavailable, v1::ERROR_REASON_SERVER_DRAINING, "the server is about to exit; try again when it is back"),
                     kRetryDelay);
  }
  return WithRetry(Make(absl::StatusCode::kUnavailable, v1::ERROR_REASON_SERVER_DRAINING,
                        absl::StrCat("the server is about to exit; watch again after event ", *last_sequence, " when it is back"),
                        {{"last_sequence", absl::StrCat(*last_sequence)}}),
                   kRetryDelay);
}

absl::Status StoreUnavailable(absl::string_view why) {
  return WithRetry(
      Make(absl::StatusCode::kUnavailable, v1::ERROR_REASON_STORE_UNAVAILABLE,
           absl::StrCat("the store cannot write now (", why, "); whether this request took effect is unknown: repeat it with the same request_id")),
      kRetryDelay);
}

absl::Status RunDamaged(const RunId& run, absl::string_view why) {
  return Make(absl::StatusCode::kDataLoss, v1::ERROR_REASON_RUN_DAMAGED,
              absl::StrCat("the journal of ", RunName(run), " is damaged (", why, "); it is set aside, restore it from a backup"), {{"run", RunName(run)}});
}

absl::Status StoreDamaged(absl::string_view why) {
  return Make(absl::StatusCode::kDataLoss, v1::ERROR_REASON_RUN_DAMAGED,
              absl::StrCat("the store is damaged (", why, "); stop the server, let agentd --doctor name what is, and restore a backup"));
}

absl::Status MessageTooLarge(absl::string_view what, int64_t bytes, int64_t bytes_max) {
  return Make(absl::StatusCode::kResourceExhausted, v1::ERROR_REASON_MESSAGE_TOO_LARGE,
              absl::StrCat(what, " is ", bytes, " bytes; at most ", bytes_max, " fit into one message"), {{"bytes_max", absl::StrCat(bytes_max)}});
}

absl::Status InternalError(absl::string_view what) { return Make(absl::StatusCode::kInternal, v1::ERROR_REASON_INTERNAL, what); }

v1::ErrorReason ReasonOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kErrorInfoTypeUrl);
  internal::v1::ErrorInfo info;
  if (!payload || !info.ParseFromString(std::string(*payload)) || info.domain() != kErrorDomain) return v1::ERROR_REASON_UNSPECIFIED;
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  v1::ErrorReason_Parse(absl::StrCat(kReasonPrefix, info.reason()), &reason);
  return reason;
}

}  // namespace agentruntime
