// The bounds that are published (GetServerInfo, README) and enforced: one place for each number.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace agentruntime {

// One message on the wire.
inline constexpr int64_t kMessageBytesMax = 4 << 20;   // a request
inline constexpr int64_t kResponseBytesMax = 3 << 20;  // a response; leaves room below what clients accept by default
inline constexpr int64_t kPageBytesMax = 1 << 20;      // a page ends here even if page_size is not reached
inline constexpr int32_t kPageSizeDefault = 50;
inline constexpr int32_t kPageSizeMax = 1000;

// One run.
inline constexpr int64_t kInputBytesMax = 256 << 10;
inline constexpr int32_t kInputPartsMax = 64;
inline constexpr int32_t kLabelsMax = 32;
inline constexpr int32_t kLabelKeyBytesMax = 63;
inline constexpr int32_t kLabelValueBytesMax = 256;
inline constexpr int32_t kRequestIdBytesMax = 128;
inline constexpr int32_t kRequestIdsPerRunMax = 64;
inline constexpr int32_t kPriorityMax = 10;  // and as far below 0
inline constexpr absl::Duration kNotBeforeMax = absl::Hours(366 * 24);
inline constexpr int32_t kTitleCharactersMax = 120;
inline constexpr int32_t kCauseBytesMax = 1024;
inline constexpr int64_t kEventBytesMax = 1 << 20;
inline constexpr int64_t kEventsMax = 100'000;
inline constexpr int64_t kJournalBytesMax = 64 << 20;
inline constexpr absl::Duration kWaitMax = absl::Minutes(10);
inline constexpr int32_t kForkDepthMax = 8;  // forks of forks
inline constexpr int32_t kConversationKeyBytesMax = 128;
// What a run reads of earlier ones of its conversation: the newest, as many as fit, but at least one.
inline constexpr int32_t kConversationRunsMax = 20;
inline constexpr int64_t kConversationBytesMax = 128 << 10;

// One decision and its calls.
inline constexpr int32_t kCallsPerDecisionMax = 64;
inline constexpr int64_t kArgumentsBytesMax = 256 << 10;
inline constexpr int64_t kResultBytesMax = 64 << 10;  // within its event; what is larger is kept apart, as an artifact
inline constexpr int64_t kDecisionTextBytesMax = 512 << 10;
inline constexpr int32_t kJsonDepthMax = 64;
inline constexpr int32_t kInvalidDecisionsMax = 3;                   // in a row
inline constexpr absl::Duration kCallWaitDefault = absl::Hours(24);  // for a person
inline constexpr absl::Duration kCallWaitMaximum = absl::Hours(30 * 24);
inline constexpr size_t kWaitTextBytesMax = 512;
inline constexpr size_t kProgressBytesMax = 1024;                // of what a tool says of its progress; more is cut
inline constexpr int64_t kAllowedArgumentsBytesMax = 512 << 10;  // that people give calls of one step instead of the model's

// Artifacts: results that are too large for the journal.
inline constexpr int64_t kArtifactBytesMax = 16 << 20;          // of one result
inline constexpr int64_t kArtifactBytesPerRunMax = 256 << 20;   // of a run; beyond it results are cut to kResultBytesMax
inline constexpr int64_t kArtifactBytesInFlightMax = 64 << 20;  // of the server: returned by tools, not yet durable; who comes after that waits
inline constexpr int64_t kArtifactExcerptBytesMax = 8 << 10;    // in the event
inline constexpr int64_t kArtifactReadBytesMax = 1 << 20;       // one answer of ReadArtifact
inline constexpr int32_t kResultPartsMax = 16;                  // more are joined before a result is kept apart

// One agent.
inline constexpr int64_t kInstructionsBytesMax = 64 << 10;
inline constexpr int64_t kDescriptionBytesMax = 1024;
inline constexpr int32_t kToolsPerAgentMax = 128;
inline constexpr int64_t kRevisionsPerAgentMax = 10'000;  // kept for ever, for the runs that name them
inline constexpr int64_t kAgentsMax = 10'000;             // of the server; the same

// Limits of a run: defaults and maxima of the server's configuration.
inline constexpr int32_t kMaxStepsDefault = 25;
inline constexpr int32_t kMaxStepsMaximum = 10'000;
inline constexpr int32_t kMaxToolCallsDefault = 100;
inline constexpr int32_t kMaxToolCallsMaximum = 100'000;
inline constexpr int64_t kMaxTokensDefault = 1'000'000;
inline constexpr int64_t kMaxTokensMaximum = 1'000'000'000;
inline constexpr int64_t kMaxCostMicrosMaximum = 1'000'000'000'000'000;  // 1,000,000,000 of the currency
inline constexpr int64_t kPriceMicrosMax = 1'000'000'000'000;            // for a million tokens: 1,000,000 of the currency
inline constexpr int32_t kMaxRepeatsDefault = 10;
inline constexpr int32_t kMaxRepeatsMinimum = 2;
inline constexpr int32_t kMaxRepeatsMaximum = 10'000;
inline constexpr absl::Duration kTimeoutDefault = absl::Minutes(10);
inline constexpr absl::Duration kTimeoutMaximum = absl::Hours(30 * 24);

// Attempts.
inline constexpr int32_t kModelAttemptsMax = 5;
inline constexpr absl::Duration kModelIdleTimeout = absl::Seconds(120);  // no byte for so long ends the attempt
inline constexpr int32_t kToolAttemptsMax = 3;                           // of an UNSAFE call only after definite failures
inline constexpr absl::Duration kToolTimeout = absl::Seconds(30);
inline constexpr int32_t kMaxOutputTokensDefault = 4096;
inline constexpr int32_t kSummaryTokensMax = 2048;  // that a summary of old steps may take
inline constexpr int32_t kSummaryTokensMin = 128;   // one that could take less is not made
inline constexpr size_t kSummaryBytesMax = 16 << 10;
inline constexpr int32_t kGraceOutputTokensMin = 256;             // a grace step that could write less is not made
inline constexpr absl::Duration kCancelGrace = absl::Seconds(5);  // within CancelRun's promise of 10 s

// Runs that answer calls of other runs.
inline constexpr int32_t kRunDepthMax = 8;                                // runs above a run; at the bound it begins none
inline constexpr int64_t kGrantTokensMin = 256;                           // a child that could use less is not begun
inline constexpr absl::Duration kChildTimeoutDefault = kCallWaitDefault;  // of one call: the child's deadline. It may wait for a person
inline constexpr absl::Duration kChildTimeoutMaximum = kCallWaitMaximum;

// Recovery.
inline constexpr int32_t kBarrenStartsMax = 20;      // starts in a row without progress that stop a run
inline constexpr int32_t kAwaitingStartsShare = 10;  // of starts that meet a run waiting for its children, one in ten counts
inline constexpr int32_t kBarrenStartsSuspect = 3;   // after which runs are started one at a time
// A suspect makes room for the next after it, progress or not; twice as long for each further start, up to the most.
inline constexpr absl::Duration kSuspectProbation = absl::Seconds(2);
inline constexpr absl::Duration kSuspectProbationMax = absl::Seconds(16);

// The server.
inline constexpr int64_t kRunningRunsMaxDefault = 10'000;
inline constexpr int64_t kQueuedRunsMaxDefault = 100'000;
inline constexpr absl::Duration kWatchIdleInterval = absl::Seconds(30);
inline constexpr int32_t kWatchBufferEventsMax = 256;    // over it a watcher catches up from the journal
inline constexpr int64_t kWatchPageBytesMax = 64 << 10;  // what a watcher reads of the journal at once, but at least one event
inline constexpr int32_t kWatchBufferDeltasMax = 256;    // over it deltas are dropped
inline constexpr int32_t kWatchersMax = 20'000;
inline constexpr int64_t kReadsWaitingMax = 1000;  // of callers that read, behind those under way; over it they are refused
inline constexpr int64_t kOpenCallsMax = 32'768;   // of every service, watches included: those leave room for others
inline constexpr absl::Duration kDrainGraceDefault = absl::Seconds(20);

}  // namespace agentruntime
