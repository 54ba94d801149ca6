// Every error that a client can see: code, reason and wording are decided here, once. Each carries google.rpc details (internal/v1/rpc_error.proto) as
// payloads under their real type URLs; the server puts them into `grpc-status-details-bin`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentruntime/v1/error.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/id.h"

namespace agentruntime {

inline constexpr absl::string_view kErrorDomain = "agentruntime";
inline constexpr absl::string_view kErrorInfoTypeUrl = "type.googleapis.com/google.rpc.ErrorInfo";
inline constexpr absl::string_view kBadRequestTypeUrl = "type.googleapis.com/google.rpc.BadRequest";
inline constexpr absl::string_view kRetryInfoTypeUrl = "type.googleapis.com/google.rpc.RetryInfo";

// One wrong field: its path from the request, and a sentence that says what is wrong and what to do.
struct FieldViolation {
  std::string field;
  std::string description;
};

absl::Status InvalidFields(const std::vector<FieldViolation>& violations);  // at least one
absl::Status InvalidField(absl::string_view field, absl::string_view description);
absl::Status RunNotFound(const RunId& run);
absl::Status StepNotFound(const RunId& run, int32_t number);
absl::Status ArtifactNotFound(const RunId& run, int32_t number);
absl::Status ArtifactDamaged(const RunId& run, int32_t number, absl::string_view why);          // DATA_LOSS, RUN_DAMAGED
absl::Status OffsetBeyondEnd(const RunId& run, int32_t number, int64_t offset, int64_t bytes);  // OUT_OF_RANGE, INVALID_FIELD
absl::Status CallNotFound(const RunId& run, const CallId& call);
absl::Status CallNotWaiting(const RunId& run, const CallId& call);
absl::Status AnswerUnfit(const RunId& run, const CallId& call, absl::string_view waits_for, absl::string_view answers);
absl::Status AgentNotFound(absl::string_view name);
absl::Status AgentExists(absl::string_view name);
absl::Status AgentsFull(int64_t agents_max);                                 // FAILED_PRECONDITION
absl::Status RevisionsFull(absl::string_view agent, int64_t revisions_max);  // FAILED_PRECONDITION, AGENTS_FULL
absl::Status RequestIdReused(absl::string_view request_id, const RunId& run);
absl::Status RequestIdOfDeletedRun(absl::string_view request_id, const RunId& run);  // ALREADY_EXISTS, REQUEST_ID_REUSED
absl::Status EtagStale(absl::string_view agent);
absl::Status EtagOfMissingAgent(absl::string_view agent);  // ABORTED, ETAG_STALE
absl::Status RunNotStopped(const RunId& run, v1::RunState state);
absl::Status DamagedRunNotStopped(const RunId& run, const absl::Status& damage);  // as `damage`, which is RunDamaged or the like
absl::Status RunHasForks(const RunId& run, const RunId& fork);
absl::Status StepNotOver(const RunId& run, int32_t step);
absl::Status ForkTooDeep(const RunId& run);
absl::Status ConversationBusy(const RunId& active);
absl::Status ConversationOvertaken(const RunId& stopped);                           // ABORTED, CONVERSATION_BUSY
absl::Status ConversationDamaged(const RunId& active, const absl::Status& damage);  // as `damage`, the same
absl::Status ConversationWentOn(const RunId& run, const RunId& later);              // FAILED_PRECONDITION, CONVERSATION_BUSY
absl::Status RunAnswered(const RunId& run);
absl::Status RunNotResumable(const RunId& run, absl::string_view why);
absl::Status RunAnswersCall(const RunId& run, absl::string_view parent_call);  // FAILED_PRECONDITION
absl::Status RunTakesNoInput(const RunId& run, absl::string_view why);
absl::Status JournalFull(const RunId& run);
absl::Status NoRoomToFork(const RunId& run, int32_t step);
absl::Status DeadlineNotRaised(const RunId& run);  // LIMIT_NOT_RAISED
absl::Status LimitNotRaised(const RunId& run, const v1::LimitHit& limit);
absl::Status AgentUnusable(absl::string_view agent, absl::string_view why);
absl::Status AgentDamaged(absl::string_view name, absl::string_view why);  // DATA_LOSS, AGENT_UNUSABLE; the name of an agent or of a revision
absl::Status SequenceBeyondEnd(const RunId& run, Sequence after, Sequence last);
absl::Status PageTokenInvalid();
absl::Status PageTokenOfOtherStore();
absl::Status QueueFull(absl::string_view what, int64_t limit);      // of what has a request id
absl::Status TooManyAtOnce(absl::string_view what, int64_t limit);  // QUEUE_FULL, of reads and streams, which have none
absl::Status ServerDraining(std::optional<Sequence> last_sequence);
absl::Status StoreUnavailable(absl::string_view why);
absl::Status RunDamaged(const RunId& run, absl::string_view why);
absl::Status StoreDamaged(absl::string_view why);  // DATA_LOSS, RUN_DAMAGED: what was asked for cannot be read from the file
absl::Status MessageTooLarge(absl::string_view what, int64_t bytes, int64_t bytes_max);
absl::Status InternalError(absl::string_view what);

// The reason of an error made here; ERROR_REASON_UNSPECIFIED for any other status.
v1::ErrorReason ReasonOf(const absl::Status& status);

}  // namespace agentruntime
