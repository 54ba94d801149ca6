// Opens a SQLite file and gives every store over it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/base/clock.h"
#include "proto/base/random.h"
#include "storage/agent_store.h"
#include "storage/sqlite/database_file.h"
#include "storage/store.h"

namespace agentruntime::sqlite {

// Logs the reason and ends the process at once with exit code 74: no destructor runs, nothing more is acknowledged.
[[noreturn]] void EndProcess(absl::string_view what);

struct StoreOptions {
  std::string path;  // of the database; its folder is made if missing
  int readers = 4;   // connections for reads
  // Called when a commit or a checkpoint failed in any way but a full or busy disk. Must not return.
  std::function<void(absl::string_view what)> fail = EndProcess;
  const Clock* clock = nullptr;  // nullptr: the system's; outlives the stores
  Random* random = nullptr;      // of the store's id; nullptr: the system's
  AgentBounds agent_bounds;
  // The file is a copy that was put in place of what it was copied from, or beside it: the store gets a new id, and restored_epoch() is that of this opening.
  bool restored = false;
  std::string vfs;  // SQLite's name of the file system to use; "": the system's
};

// The stores may be destroyed in any order; `store` finishes what is queued for all of them. The file is free for another server when both are gone.
struct Stores {
  std::unique_ptr<Store> store;
  std::unique_ptr<AgentStore> agents;
};

// Makes the file if it is missing, repairs what a crash left (so that everything acknowledged is in the database file, synced), begins a new epoch.
//   FAILED_PRECONDITION  in use by another server (IsInUse), of a newer format, not ours, on a network file system; `restored`, and there is no store
//   DATA_LOSS            the file is damaged
//   UNAVAILABLE          the disk or its file system refuses; a full one says how much space is needed
// Each message begins with the path and says what to do.
absl::StatusOr<Stores> OpenStores(const StoreOptions& options);

}  // namespace agentruntime::sqlite
