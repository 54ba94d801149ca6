// Looks through a whole database file, the damaged parts too: what a doctor needs and no server does.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/base/id.h"
#include "storage/run_reader.h"
#include "storage/sqlite/database_file.h"

namespace agentruntime::sqlite {

class Database;

// Faults of the file that are told, at most.
inline constexpr int kFileFaultsMax = 20;

// Has the file to itself, as a server has, and writes nothing: no new epoch, no other format, nothing swept, no log copied. One thread at a time; it blocks.
class Inspector final : public RunReader {
 public:
  // NOT_FOUND, FAILED_PRECONDITION (also for a file of an older format), UNAVAILABLE, or DATA_LOSS where nothing behind it can be looked at, with the path in
  // the message. IsInUse (database_file.h) tells a file that a server has.
  static absl::StatusOr<std::unique_ptr<Inspector>> Open(const std::string& path);
  ~Inspector() override;

  const std::string& path() const { return claim_.path(); }
  // What SQLite's own check of pages and indexes finds, rows that belong to nothing, and what is damaged of deleted runs, a line each; none: the file is whole.
  // Reads all of it.
  std::vector<std::string> FileFaults();
  // Of all revisions, and of agents and runs without theirs, a line each.
  std::vector<std::string> AgentFaults();
  // The next runs in the order of their rows, without the help of an index, which may be what is damaged; none: that was the last. `unreadable` counts rows
  // without an id that can be read. DATA_LOSS, INTERNAL: the walk ends here.
  absl::StatusOr<std::vector<RunId>> NextRuns(int64_t& unreadable);
  // Of a run whose own row can be read: labels that it was accepted with and that its row or the table which lists by label go by lacks, a line each.
  std::vector<std::string> LabelFaults(const RunId& run);
  // Of each artifact that a run has or, as it gave numbers up to `last`, should have, a line each. Reads every byte.
  std::vector<std::string> ArtifactFaults(const RunId& run, int32_t last);

  absl::StatusOr<RunRecord> GetRun(const RunId& run) override;
  absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit limit) override;

 private:
  Inspector(FileClaim claim, std::unique_ptr<Database> database);
  absl::StatusOr<std::set<int32_t>> ArtifactNumbers(const RunId& run);
  // Adds what `count` counts, if it is any.
  void Count(const char* sql, absl::string_view what, std::vector<std::string>& faults);
  // The other way round: labels that no run was accepted with.
  void CountStrayLabels(std::vector<std::string>& faults);
  // After a read that failed: nothing of it is left.
  void Settle();

  const FileClaim claim_;  // outlives the connection
  const std::unique_ptr<Database> database_;
  int64_t last_row_ = INT64_MIN;
};

}  // namespace agentruntime::sqlite
