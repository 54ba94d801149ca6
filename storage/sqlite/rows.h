// Messages to rows and back. Building a row serializes and sums up, so it is done on the caller's thread; the writer only binds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/sqlite/checksum.h"
#include "storage/sqlite/database.h"
#include "storage/types.h"

namespace agentruntime::sqlite {

// One row of `events`.
struct EventRow {
  int64_t sequence = 0;
  int64_t time_us = 0;
  int64_t active_us = 0;
  int64_t step = 0;
  int64_t epoch = 0;
  std::string bytes;       // the event, its envelope first
  size_t body_offset = 0;  // where the body begins in `bytes`
  int64_t crc = 0;

  absl::string_view body() const { return absl::string_view(bytes).substr(body_offset); }
};
EventRow MakeEventRow(const RunId& run, const v1::Event& event);

// The changing half of a row of `runs`.
struct StateRow {
  v1::RunState state = v1::RUN_STATE_UNSPECIFIED;
  std::string stop_reason;  // "": NULL
  RunProjection projection;
  std::string detail;
};
StateRow MakeStateRow(RunProjection projection);

// The half that is written once.
struct AcceptedRow {
  RunId run;
  std::string tenant;
  std::string request_id;
  std::string request_hash;
  std::string agent;
  int64_t revision = 0;
  std::string title;
  std::vector<std::pair<std::string, std::string>> labels;  // by key
  std::string labels_blob;
  int64_t created_us = 0;
  std::string conversation;                             // "": NULL
  std::optional<ForkPoint> base;                        // of a fork
  std::optional<std::vector<RunId>> conversation_seen;  // as of NewRun; looked at, not written
};
AcceptedRow MakeAcceptedRow(NewRun run);

// Text of an enum value in a column: RUN_STATE_QUEUED is QUEUED, STOP_REASON_MAX_STEPS is MAX_STEPS.
absl::string_view StateText(v1::RunState state);
absl::string_view StopReasonText(v1::StopReason reason);

// Columns of `runs` in the order that ReadRun expects. A macro, because statements are literals.
#define AGENTRUNTIME_ACCEPTED_COLUMNS \
  "run, tenant, request_id, request_hash, agent, revision, title, labels, created_us, conversation, base, base_sequence, accepted_crc"
#define AGENTRUNTIME_DETAIL_COLUMNS                                                                                                   \
  "stop_reason, steps, tool_calls, input_tokens, cached_input_tokens, output_tokens, active_us, started_us, updated_us, stopped_us, " \
  "last_sequence, answer_sequence, last_step, barren_starts, wake_us, epoch, journal_bytes, detail, state_crc"
#define AGENTRUNTIME_STATE_COLUMNS "state, " AGENTRUNTIME_DETAIL_COLUMNS
#define AGENTRUNTIME_RUN_COLUMNS AGENTRUNTIME_ACCEPTED_COLUMNS ", " AGENTRUNTIME_STATE_COLUMNS

// Positions in AGENTRUNTIME_RUN_COLUMNS of what is looked at beside a decoded row.
enum RunColumn {
  kRunColumn = 0,
  kTenantColumn = 1,
  kRequestIdColumn = 2,
  kRequestHashColumn = 3,
  kAgentColumn = 4,
  kRevisionColumn = 5,
  kLabelsColumn = 7,
  kCreatedColumn = 8,
  kConversationColumn = 9,
  kStateColumn = 13,
  kStopReasonColumn = 14,
  kEpochColumn = 29,
};

// Bind values in the order of the columns and, last, the checksum. `with_state` false: without the column `state`, which is as it was.
void BindAccepted(Statement& statement, const AcceptedRow& row);
void BindState(Statement& statement, const RunId& run, const StateRow& row, Epoch epoch, int64_t journal_bytes, bool with_state);

// The row under the statement. DATA_LOSS (RunDamaged) if its checksums do not fit or it cannot be decoded.
absl::StatusOr<RunRecord> ReadRun(Statement& statement);

// The row under a statement that selects sequence, time_us, active_us, step, epoch, body, crc. Same error.
absl::StatusOr<EventPtr> ReadEvent(Statement& statement, const RunId& run);

// Of the column; UNSPECIFIED if it holds no state.
v1::RunState ParseState(absl::string_view text);

}  // namespace agentruntime::sqlite
