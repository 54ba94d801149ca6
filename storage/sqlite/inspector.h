// Looks through a whole database file, the damaged parts too: what a doctor needs and no server does.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/base/id.h"

namespace agentruntime::sqlite {

class Database;

// Faults of the file that are told, at most.
inline constexpr int kFileFaultsMax = 20;

// A reader beside the stores that have the file open. One thread at a time; it blocks.
class Inspector {
 public:
  // UNAVAILABLE or DATA_LOSS, with the path in the message.
  static absl::StatusOr<std::unique_ptr<Inspector>> Open(const std::string& path);
  ~Inspector();

  // What SQLite's own check of pages and indexes finds, a line each; none: the file is whole. Reads all of it.
  std::vector<std::string> FileFaults();
  // The next runs in the order of their rows, without the help of an index, which may be what is damaged; none: that was the last. `unreadable` counts rows
  // without an id that can be read. DATA_LOSS, INTERNAL: the walk ends here.
  absl::StatusOr<std::vector<RunId>> NextRuns(int64_t& unreadable);

 private:
  explicit Inspector(std::unique_ptr<Database> database);

  const std::unique_ptr<Database> database_;
  int64_t last_row_ = 0;
};

}  // namespace agentruntime::sqlite
