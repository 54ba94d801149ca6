#include "storage/sqlite/inspector.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/base/status.h"
#include "storage/sqlite/database.h"

namespace agentruntime::sqlite {
namespace {

constexpr int64_t kCacheBytes = 4 << 20;
constexpr int kRunsAtOnce = 1000;  // one read transaction

}  // namespace

Inspector::Inspector(std::unique_ptr<Database> database) : database_(std::move(database)) {}

Inspector::~Inspector() = default;

absl::StatusOr<std::unique_ptr<Inspector>> Inspector::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open({.path = path, .read_only = true, .cache_bytes = kCacheBytes}));
  std::unique_ptr<Inspector> inspector(new Inspector(std::move(database)));
  inspector->last_row_ = std::numeric_limits<int64_t>::min();
  return inspector;
}

std::vector<std::string> Inspector::FileFaults() {
  std::vector<std::string> faults;
  Statement check(*database_, absl::StrCat("PRAGMA integrity_check(", kFileFaultsMax, ")").c_str());
  while (check.Step()) {
    // One row may hold several lines.
    for (const absl::string_view line : absl::StrSplit(check.Bytes(0), '\n', absl::SkipEmpty())) {
      if (line != "ok" && faults.size() < kFileFaultsMax) faults.emplace_back(line);
    }
  }
  if (database_->failed()) faults.emplace_back(database_->TakeError().message());
  return faults;
}

absl::StatusOr<std::vector<RunId>> Inspector::NextRuns(int64_t& unreadable) {
  std::vector<RunId> runs;
  while (runs.empty()) {
    int rows = 0;
    Statement& next = database_->Use("SELECT id, run FROM runs NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?").Bind(last_row_).Bind(int64_t{kRunsAtOnce});
    for (; next.Step(); ++rows) {
      last_row_ = next.Integer(0);
      if (const auto run = RunId::FromBytes(next.Bytes(1))) {
        runs.push_back(*run);
      } else {
        ++unreadable;
      }
    }
    RETURN_IF_ERROR(database_->TakeError());
    if (rows == 0) break;
  }
  return runs;
}

}  // namespace agentruntime::sqlite
