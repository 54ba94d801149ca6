#include "storage/sqlite/stores.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "storage/sqlite/agent_store.h"
#include "storage/sqlite/core.h"
#include "storage/sqlite/database.h"
#include "storage/sqlite/disk.h"
#include "storage/sqlite/schema.h"
#include "storage/sqlite/store.h"

namespace agentruntime::sqlite {
namespace {

constexpr int kExitStoreFailure = 74;
constexpr int64_t kWriterCacheBytes = 16 << 20;
constexpr int64_t kReaderCacheBytes = 4 << 20;

// Settings that durability rests on, read back because SQLite ignores what it cannot do.
absl::Status MakeDurable(Database& database, const std::string& path) {
  Statement mode(database, "PRAGMA journal_mode=WAL");
  const std::string journal_mode(mode.Step() ? mode.Bytes(0) : "");
  mode.Reset();
  // Auto-checkpoint is off because it swallows a failed sync of the database file; the writer copies the log itself.
  database.Execute("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0");
  const int64_t synchronous = database.Query("PRAGMA synchronous");
  if (database.failed()) return OpenError(database, path);
  if (journal_mode != "wal" || synchronous != 2) {
    return absl::UnavailableError(absl::StrCat(path, ": this file system cannot keep a write-ahead log; put the file on a local disk"));
  }
  return absl::OkStatus();
}

// The number of this opening, durable before anybody hears of it.
absl::StatusOr<Epoch> BeginEpoch(Database& database, const std::string& path) {
  const Epoch epoch = database.Query("UPDATE server SET epoch = epoch + 1 RETURNING epoch");
  if (database.failed()) return OpenError(database, path);
  if (epoch <= 0) return absl::DataLossError(absl::StrCat(path, ": is damaged (it has lost its epoch); restore it from a backup"));
  return epoch;
}

// Moves the whole log into the database file. Only then is it certain that what this process reads is what the disk holds.
absl::Status CopyLog(Database& database, const std::string& path) {
  const auto copy = [&] { return sqlite3_wal_checkpoint_v2(database.handle(), "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr); };
  int code = copy();
  if (IsFull(code)) {
    CutLog(database);  // a server that was killed while it filled the disk left that
    code = copy();
  }
  if (code == SQLITE_OK) return absl::OkStatus();
  if ((code & 0xff) == SQLITE_BUSY) return absl::UnavailableError(absl::StrCat(path, ": another program reads it; close it and start again"));
  database.SetError(code);
  return OpenError(database, path);
}

}  // namespace

void EndProcess(absl::string_view what) {
  Log(LogLevel::kError, "the store cannot go on, the process ends; start it again", {{"what", std::string(what)}});
  FlushLog();
  std::_Exit(kExitStoreFailure);
}

absl::StatusOr<Stores> OpenStores(const StoreOptions& options) {
  static const SystemClock& system_clock = *new SystemClock;
  ASSIGN_OR_RETURN(FileClaim claim, FileClaim::Make(options.path));
  auto core = std::make_shared<Core>(std::move(claim), options.clock != nullptr ? *options.clock : system_clock);
  const std::string& path = core->claim.path();
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open({.path = path, .cache_bytes = kWriterCacheBytes, .vfs = options.vfs}));
  RETURN_IF_ERROR(MakeDurable(*database, path));
  RETURN_IF_ERROR(CheckFormat(*database, path));
  // Before anything is written: on a full disk the log's own space is what that needs.
  RETURN_IF_ERROR(CopyLog(*database, path));
  RETURN_IF_ERROR(Migrate(*database, path));
  ASSIGN_OR_RETURN(core->epoch, BeginEpoch(*database, path));
  RETURN_IF_ERROR(CopyLog(*database, path));
  ASSIGN_OR_RETURN(core->readers, Readers::Open({.path = path, .read_only = true, .cache_bytes = kReaderCacheBytes, .vfs = options.vfs}, options.readers));
  core->writer = std::make_unique<Writer>(std::move(database), core->epoch, options.fail);
  return Stores{std::make_unique<SqliteStore>(core), std::make_unique<SqliteAgentStore>(core)};
}

}  // namespace agentruntime::sqlite
