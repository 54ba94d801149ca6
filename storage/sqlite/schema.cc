#include "storage/sqlite/schema.h"

#include "absl/strings/str_cat.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "storage/sqlite/disk.h"

namespace agentruntime::sqlite {
namespace {

// Ids are time-ordered, so rows and index entries go to the end of their trees. A row's checksum covers every column before it.
constexpr char kFormat1[] = R"sql(
CREATE TABLE server (
  one          INTEGER PRIMARY KEY CHECK (one = 1),
  epoch        INTEGER NOT NULL
) STRICT;
INSERT INTO server VALUES (1, 0);

CREATE TABLE runs (
  id                  INTEGER PRIMARY KEY,
  run                 BLOB NOT NULL,              -- 16 bytes, ordered by creation
  tenant              TEXT NOT NULL,
  request_id          TEXT NOT NULL,              -- '' if none
  request_hash        BLOB NOT NULL,
  agent               TEXT NOT NULL,
  revision            INTEGER NOT NULL,
  title               TEXT NOT NULL,
  labels              BLOB NOT NULL,              -- RunCreated with labels only; run_labels has them as text
  created_us          INTEGER NOT NULL,           -- microseconds since 1970, as every _us of an instant
  accepted_crc        INTEGER NOT NULL,           -- of run ... created_us, which never change
  state               TEXT NOT NULL,              -- QUEUED, RUNNING, WAITING, STOPPED
  stop_reason         TEXT,                       -- of the last stop
  steps               INTEGER NOT NULL,
  tool_calls          INTEGER NOT NULL,
  input_tokens        INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  output_tokens       INTEGER NOT NULL,
  active_us           INTEGER,                    -- microseconds in RUNNING
  started_us          INTEGER,
  updated_us          INTEGER NOT NULL,
  stopped_us          INTEGER,
  last_sequence       INTEGER NOT NULL,
  answer_sequence     INTEGER NOT NULL,
  last_step           INTEGER NOT NULL,
  barren_starts       INTEGER NOT NULL,
  wake_us             INTEGER,
  epoch               INTEGER NOT NULL,           -- of the last writer
  journal_bytes       INTEGER NOT NULL,           -- of the events' bodies
  detail              BLOB NOT NULL,              -- Run with stop, activity, limits and waiting calls only
  state_crc           INTEGER NOT NULL            -- of run and state ... detail
) STRICT;
CREATE UNIQUE INDEX runs_by_run ON runs (run);
CREATE UNIQUE INDEX runs_by_request ON runs (tenant, request_id) WHERE request_id <> '';
CREATE INDEX runs_unfinished ON runs (run) WHERE state <> 'STOPPED';

CREATE TABLE run_labels (
  tenant       TEXT NOT NULL,
  key          TEXT NOT NULL,
  value        TEXT NOT NULL,
  run          BLOB NOT NULL,
  PRIMARY KEY (tenant, key, value, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  id           INTEGER PRIMARY KEY,
  run          BLOB NOT NULL,
  sequence     INTEGER NOT NULL,
  time_us      INTEGER NOT NULL,
  active_us    INTEGER NOT NULL,
  step         INTEGER NOT NULL,
  epoch        INTEGER NOT NULL,
  body         BLOB NOT NULL,                     -- agentruntime.v1.Event without its fields 1-5, which are the columns before
  crc          INTEGER NOT NULL                   -- of run ... body
) STRICT;
CREATE UNIQUE INDEX events_by_run ON events (run, sequence);

CREATE TABLE deleted_runs (
  run          BLOB PRIMARY KEY NOT NULL,
  tenant       TEXT NOT NULL,
  request_id   TEXT NOT NULL,
  request_hash BLOB NOT NULL,
  deleted_us   INTEGER NOT NULL
) STRICT;
CREATE INDEX deleted_runs_by_request ON deleted_runs (tenant, request_id) WHERE request_id <> '';
CREATE INDEX deleted_runs_by_time ON deleted_runs (deleted_us);

CREATE TABLE agents (
  agent        TEXT PRIMARY KEY NOT NULL,
  revision     INTEGER NOT NULL,                  -- the newest
  created_us   INTEGER NOT NULL
) STRICT;
CREATE TABLE agent_revisions (
  agent        TEXT NOT NULL,
  revision     INTEGER NOT NULL,
  created_us   INTEGER NOT NULL,
  content      BLOB NOT NULL,                     -- agentruntime.v1.Agent without what is output only
  crc          INTEGER NOT NULL,
  PRIMARY KEY (agent, revision)
) STRICT;

-- For people: the same with readable ids, times and kinds.
CREATE VIEW run_list AS
  SELECT lower(hex(run)) AS run, agent || '/' || revision AS agent, state, stop_reason, steps, tool_calls, input_tokens, output_tokens,
         last_sequence, datetime(created_us / 1000000, 'unixepoch') AS created, datetime(updated_us / 1000000, 'unixepoch') AS updated, title
  FROM runs ORDER BY runs.run;
CREATE VIEW journal AS
  SELECT lower(hex(run)) AS run, sequence, step, epoch, datetime(time_us / 1000000, 'unixepoch') AS time,
         CASE hex(substr(body, 1, 1))
           WHEN '52' THEN 'run_created' WHEN '5A' THEN 'run_started' WHEN '62' THEN 'model_called' WHEN '6A' THEN 'model_failed'
           WHEN '72' THEN 'decision_made' WHEN '7A' THEN 'call_started' WHEN '82' THEN 'call_failed' WHEN '9A' THEN 'call_finished'
           WHEN 'B2' THEN 'cancel_requested' WHEN 'BA' THEN 'run_stopped' WHEN 'C2' THEN 'run_resumed' END AS kind,
         length(body) AS bytes
  FROM events ORDER BY events.run, sequence;
)sql";

// Calls that wait for a person, input and deadlines: three kinds of events, and more in `detail`.
constexpr char kFormat2[] = R"sql(
DROP VIEW IF EXISTS journal;
CREATE VIEW journal AS
  SELECT lower(hex(run)) AS run, sequence, step, epoch, datetime(time_us / 1000000, 'unixepoch') AS time,
         CASE hex(substr(body, 1, 1))
           WHEN '52' THEN 'run_created' WHEN '5A' THEN 'run_started' WHEN '62' THEN 'model_called' WHEN '6A' THEN 'model_failed'
           WHEN '72' THEN 'decision_made' WHEN '7A' THEN 'call_started' WHEN '82' THEN 'call_failed' WHEN '8A' THEN 'call_waiting' WHEN '92' THEN 'call_resolved' WHEN '9A' THEN 'call_finished'
           WHEN 'A2' THEN 'input_received' WHEN 'B2' THEN 'cancel_requested' WHEN 'BA' THEN 'run_stopped' WHEN 'C2' THEN 'run_resumed' END AS kind,
         length(body) AS bytes
  FROM events ORDER BY events.run, sequence;
)sql";

// Forks, conversations, and results that are kept apart from their event. One active run of a conversation is a unique index: whatever is wrong above it, there
// are never two.
constexpr char kFormat3[] = R"sql(
ALTER TABLE runs ADD COLUMN conversation TEXT;    -- NULL if of none
ALTER TABLE runs ADD COLUMN base BLOB;            -- of a fork: the run whose events up to base_sequence are its own too
ALTER TABLE runs ADD COLUMN base_sequence INTEGER;
CREATE INDEX runs_by_base ON runs (base) WHERE base IS NOT NULL;
CREATE UNIQUE INDEX runs_active_in_conversation ON runs (tenant, conversation) WHERE conversation IS NOT NULL AND state <> 'STOPPED';
CREATE INDEX runs_by_conversation ON runs (tenant, conversation, run) WHERE conversation IS NOT NULL;
CREATE INDEX runs_accepted_in_conversation ON runs (tenant, conversation, id) WHERE conversation IS NOT NULL;
DROP VIEW IF EXISTS journal;
CREATE VIEW journal AS
  SELECT lower(hex(run)) AS run, sequence, step, epoch, datetime(time_us / 1000000, 'unixepoch') AS time,
         CASE hex(substr(body, 1, 1))
           WHEN '4A' THEN 'run_forked' WHEN '52' THEN 'run_created' WHEN '5A' THEN 'run_started' WHEN '62' THEN 'model_called'
           WHEN '6A' THEN 'model_failed' WHEN '72' THEN 'decision_made' WHEN '7A' THEN 'call_started' WHEN '82' THEN 'call_failed'
           WHEN '8A' THEN 'call_waiting' WHEN '92' THEN 'call_resolved' WHEN '9A' THEN 'call_finished' WHEN 'A2' THEN 'input_received'
           WHEN 'AA' THEN 'context_compacted' WHEN 'B2' THEN 'cancel_requested' WHEN 'BA' THEN 'run_stopped' WHEN 'C2' THEN 'run_resumed' END AS kind,
         length(body) AS bytes
  FROM events ORDER BY events.run, sequence;

CREATE TABLE artifacts (                          -- a row comes with the event that names it first
  id           INTEGER PRIMARY KEY,
  run          BLOB NOT NULL,
  number       INTEGER NOT NULL,                  -- from 1 within the run
  epoch        INTEGER NOT NULL,                  -- of its chunks
  media_type   TEXT NOT NULL,
  hash         BLOB NOT NULL,                     -- SHA-256 of the content
  bytes        INTEGER NOT NULL,
  crc          INTEGER NOT NULL                   -- of run ... bytes
) STRICT;
CREATE UNIQUE INDEX artifacts_by_run ON artifacts (run, number);

CREATE TABLE artifact_chunks (                    -- 256 KiB each but the last; written before their artifact
  id           INTEGER PRIMARY KEY,
  run          BLOB NOT NULL,
  number       INTEGER NOT NULL,
  epoch        INTEGER NOT NULL,
  chunk        INTEGER NOT NULL,                  -- from 0
  data         BLOB NOT NULL,
  crc          INTEGER NOT NULL                   -- of run ... data
) STRICT;
CREATE UNIQUE INDEX artifact_chunks_by_run ON artifact_chunks (run, number, epoch, chunk);

CREATE TABLE unnamed_artifacts (                  -- have chunks and no event: on their way, or left by a crash, a lost append or a deleted run
  run          BLOB NOT NULL,
  number       INTEGER NOT NULL,
  epoch        INTEGER NOT NULL,
  abandoned    INTEGER NOT NULL,                  -- 1: whatever the epoch
  PRIMARY KEY (run, number, epoch)
) STRICT, WITHOUT ROWID;
)sql";

// The journal as it is now. Events are written behind each other in the order in which they come; only the index is ordered by run. The run is its short id in
// `runs`, because it stands in each row and again in the index: its 16 bytes made a quarter of a small event. Measured beside it: a tree of events that is
// ordered by run itself needs no index and a tenth less space, but each run that writes costs a page of its own in each commit, two to eight times the bytes of
// the log (64 to 1,000 runs at once) and up to half as much time again. WITHOUT ROWID is worse than both.
constexpr char kFormat4[] = R"sql(
CREATE TABLE events (
  id           INTEGER PRIMARY KEY,
  run          INTEGER NOT NULL,                  -- runs.id
  sequence     INTEGER NOT NULL,
  time_us      INTEGER NOT NULL,
  active_us    INTEGER NOT NULL,
  step         INTEGER NOT NULL,
  epoch        INTEGER NOT NULL,
  body         BLOB NOT NULL,                     -- agentruntime.v1.Event without its fields 1-5, which are the columns before
  crc          INTEGER NOT NULL                   -- of the run's 16 bytes, sequence ... body
) STRICT;
CREATE UNIQUE INDEX events_by_run ON events (run, sequence);

CREATE VIEW journal AS
  SELECT lower(hex(runs.run)) AS run, sequence, step, events.epoch, datetime(time_us / 1000000, 'unixepoch') AS time,
         CASE hex(substr(body, 1, 1))
           WHEN '4A' THEN 'run_forked' WHEN '52' THEN 'run_created' WHEN '5A' THEN 'run_started' WHEN '62' THEN 'model_called'
           WHEN '6A' THEN 'model_failed' WHEN '72' THEN 'decision_made' WHEN '7A' THEN 'call_started' WHEN '82' THEN 'call_failed'
           WHEN '8A' THEN 'call_waiting' WHEN '92' THEN 'call_resolved' WHEN '9A' THEN 'call_finished' WHEN 'A2' THEN 'input_received'
           WHEN 'AA' THEN 'context_compacted' WHEN 'B2' THEN 'cancel_requested' WHEN 'BA' THEN 'run_stopped' WHEN 'C2' THEN 'run_resumed' END AS kind,
         length(body) AS bytes
  FROM runs CROSS JOIN events ON events.run = runs.id
  ORDER BY runs.run, sequence;
)sql";

// Up to format 3 events had their run's 16 bytes. A damaged row must not keep the others from moving: the casts let it be found out when it is
// read, and what has no place any more (no run, no sequence of its own) stays in a table aside, for people.
constexpr char kSetEventsAside[] = R"sql(
DROP VIEW IF EXISTS journal;
ALTER TABLE events RENAME TO events_before;
DROP INDEX IF EXISTS events_by_run;
)sql";
constexpr char kMoveEvents[] = R"sql(
INSERT OR IGNORE INTO events
  SELECT before.id, runs.id, CAST(sequence AS INTEGER), CAST(time_us AS INTEGER), CAST(before.active_us AS INTEGER), CAST(step AS INTEGER),
         CAST(before.epoch AS INTEGER), CAST(body AS BLOB), CAST(crc AS INTEGER)
  FROM events_before AS before CROSS JOIN runs ON runs.run = before.run
  ORDER BY before.id;
)sql";
constexpr char kKeepStrayEvents[] = R"sql(
CREATE TABLE stray_events AS SELECT * FROM events_before WHERE id NOT IN (SELECT id FROM events);
)sql";

// What tells a store from others, and from what it was before it was restored. An older server would go on with runs that a restored store holds back.
constexpr char kFormat5[] = R"sql(
ALTER TABLE server ADD COLUMN id TEXT;            -- 32 hex digits, random
ALTER TABLE server ADD COLUMN restored_epoch INTEGER NOT NULL DEFAULT 0;  -- of the last opening with --restored; 0: none
)sql";

// What is kept of deleted runs answers retries, so it has a sum as what else is served.
constexpr char kFormat6[] = R"sql(
ALTER TABLE deleted_runs ADD COLUMN crc INTEGER;  -- of run ... deleted_us; NULL in rows of older formats
)sql";

void GiveId(Database& database, const std::string& id) { Statement(database, "UPDATE server SET id = ?1").BindText(id).Run(); }

void MoveEvents(Database& database, absl::string_view path) {
  // Memory is bounded: rows come in the order in which they lie, and pages for which the cache has no room go into the log.
  database.Execute(kMoveEvents);
  const int64_t stray = database.Query("SELECT (SELECT count(*) FROM events_before) - (SELECT count(*) FROM events)");
  if (stray != 0) {
    Log(LogLevel::kError, "events without a place in a journal were found while the format was renewed; they are in the table stray_events",
        {{"path", path}, {"events", absl::StrCat(stray)}});
    database.Execute(kKeepStrayEvents);
  }
  // Emptied first: to drop a table that holds something SQLite keeps all of its pages in memory, in case the statement fails.
  database.Execute("DELETE FROM events_before");
  database.Execute("DROP TABLE events_before");
}

}  // namespace

absl::Status CheckFormat(absl::string_view path, uint32_t application_id, uint32_t format) {
  if (application_id == 0 && format == 0) return absl::OkStatus();
  if (application_id != static_cast<uint32_t>(kApplicationId)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": is a SQLite database of another program; configure another file"));
  }
  if (format > static_cast<uint32_t>(kFormat)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": has format ", format, ", this server knows formats up to ", kFormat,
                                                      "; run the newer server that wrote it, or restore a backup from before the upgrade"));
  }
  return absl::OkStatus();
}

absl::Status CheckFormat(Database& database, absl::string_view path) {
  const auto application_id = static_cast<uint32_t>(database.Query("PRAGMA application_id"));
  const auto format = static_cast<uint32_t>(database.Query("PRAGMA user_version"));
  const int64_t tables = database.Query("SELECT count(*) FROM sqlite_schema");
  if (database.failed()) return OpenError(database, path);
  RETURN_IF_ERROR(CheckFormat(path, application_id, format));
  return application_id == 0 && tables > 0 ? CheckFormat(path, 1, 1) : absl::OkStatus();
}

absl::Status Migrate(Database& database, absl::string_view path, const std::string& new_id) {
  database.Execute("BEGIN IMMEDIATE");
  RETURN_IF_ERROR(CheckFormat(database, path));
  const int64_t format = database.Query("PRAGMA user_version");
  const int64_t pages = database.Query("PRAGMA page_count");
  if (format < 1) database.Execute(kFormat1);
  if (format < 2) database.Execute(kFormat2);
  if (format < 3) database.Execute(kFormat3);
  if (format < 4) {
    database.Execute(kSetEventsAside);
    database.Execute(kFormat4);
    MoveEvents(database, path);
  }
  if (format < 5) {
    database.Execute(kFormat5);
    GiveId(database, new_id);
  }
  if (format < 6) database.Execute(kFormat6);
  if (format < kFormat) database.Execute(absl::StrCat("PRAGMA application_id=", kApplicationId, "; PRAGMA user_version=", kFormat).c_str());
  database.Execute("COMMIT");
  if (!database.failed()) return absl::OkStatus();
  if (format == 0 || format >= 4 || !IsFull(database.error())) return OpenError(database, path);
  database.ClearError();
  return DiskFull(path, 2 * pages * database.Query("PRAGMA page_size"));
}

}  // namespace agentruntime::sqlite
