// What is queued for the writer: rows that are ready to be bound, and whom to tell.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "storage/sqlite/artifacts.h"
#include "storage/sqlite/database.h"
#include "storage/sqlite/rows.h"
#include "storage/store.h"
#include "storage/types.h"

namespace agentruntime::sqlite {

struct CreateItem {
  AcceptedRow accepted;
  StateRow state;
  EventRow event;
  CreateDone done;
  CreateOutcome outcome = {CreateOutcome::Kind::kCreated, RunId()};
};

struct AppendItem {
  RunId run;
  Epoch epoch = 0;
  Sequence expected_last_sequence = 0;
  std::vector<EventRow> events;
  std::vector<HeadRow> artifacts;
  StateRow state;
  AppendDone done;
  AppendResult result = AppendResult::kDurable;
  bool lost_with_another = false;  // an earlier append of the run was lost while this one was queued
};

// Before the append that names the artifact, and on the same terms.
struct ChunkItem {
  RunId run;
  Epoch epoch = 0;
  Sequence expected_last_sequence = 0;
  ChunkRow row;
};

struct DeleteItem {
  RunId run;
  absl::Time now;
  DeleteDone done;
  absl::Status result;
};

// Any other write. It may run more than once: each time the transaction is tried again.
struct TaskItem {
  absl::AnyInvocable<void(Database&)> task;
  absl::AnyInvocable<void()> done;
};

struct Item {
  std::variant<CreateItem, AppendItem, ChunkItem, DeleteItem, TaskItem> what;
  int64_t bytes = 0;    // about what it takes in memory and in the log
  uint64_t number = 0;  // place in the queue, since the start
};

}  // namespace agentruntime::sqlite
