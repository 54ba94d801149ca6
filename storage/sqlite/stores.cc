#include "storage/sqlite/stores.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/id.h"
#include "proto/base/log.h"
#include "proto/base/planted_bug.h"
#include "proto/base/random.h"
#include "proto/base/status.h"
#include "storage/sqlite/agent_store.h"
#include "storage/sqlite/core.h"
#include "storage/sqlite/database.h"
#include "storage/sqlite/disk.h"
#include "storage/sqlite/epoch_check.h"
#include "storage/sqlite/schema.h"
#include "storage/sqlite/store.h"

namespace agentruntime::sqlite {
namespace {

constexpr int kExitStoreFailure = 74;
constexpr int64_t kWriterCacheBytes = 16 << 20;
constexpr int64_t kReaderCacheBytes = 4 << 20;
// Of a new file; one that is there keeps its own. A page of 4 KiB holds one body of 2 KiB and is then full by half: a step of that size took 4,145 bytes of the
// disk, and takes 2,769 in these. Runs of small events are as fast, although the log grows by whole pages.
constexpr int kPageBytes = 8192;

// Settings that durability rests on, read back because SQLite ignores what it cannot do.
absl::Status MakeDurable(Database& database, const std::string& path) {
  database.Execute(absl::StrCat("PRAGMA page_size=", kPageBytes).c_str());
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
  if (IsPlanted(Bug::kSyncNormal)) database.Execute("PRAGMA synchronous=NORMAL");
  return absl::OkStatus();
}

absl::Status NothingRestored(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": is to be a restored store, and there is none; check the path, or start without --restored"));
}

// Before a new file is made in the place of a restored one that is elsewhere.
absl::Status CheckThere(const std::string& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  return error || bytes == 0 ? NothingRestored(path) : absl::OkStatus();
}

absl::Status Lost(const std::string& path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(path, ": is damaged (it has lost its ", what, "); restore it from a backup"));
}

// A copy that the backup API made has no log. One that lies there all the same is of the original, and SQLite puts its pages over the copy's: nothing in either
// file tells whose it is, so all that can be done is to say so.
void WarnOfLog(const std::string& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path + "-wal", error);
  if (error || bytes == 0) return;
  Log(LogLevel::kWarn, "the restored store is taken together with the log beside it; if the copy did not bring that, put the copy there again without it",
      {{"path", path}, {"log", path + "-wal"}, {"bytes", static_cast<int64_t>(bytes)}});
}

// The number of this opening and what else names the store, durable before anybody hears of it.
absl::Status BeginEpoch(Database& database, Core& core, std::optional<std::string> id_of_restored) {
  const std::string& path = core.claim.path();
  if (id_of_restored) {
    Statement(database, "UPDATE server SET epoch = epoch + 1, restored_epoch = epoch + 1, id = ?1").BindText(*id_of_restored).Run();
  } else {
    database.Execute("UPDATE server SET epoch = epoch + 1");
  }
  Statement server(database, "SELECT epoch, id, restored_epoch FROM server");
  if (server.Step()) {
    core.epoch = server.Integer(0);
    core.id = std::string(server.Bytes(1));
    core.restored_epoch = server.Integer(2);
  }
  server.Reset();
  if (database.failed()) return OpenError(database, path);
  if (core.epoch <= 0) return Lost(path, "epoch");
  return core.id.empty() ? Lost(path, "id") : absl::OkStatus();
}

// Moves the whole log into the database file. Only then is it certain that what this process reads is what the disk holds.
absl::Status CopyLog(Database& database, const std::string& path) {
  const auto copy = [&] { return sqlite3_wal_checkpoint_v2(database.handle(), "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr); };
  int code = copy();
  if (IsFull(code)) {
    const int cut = CutLog(database);  // a server that was killed while it filled the disk left that
    if (cut != SQLITE_OK && !IsFull(cut) && (cut & 0xff) != SQLITE_BUSY) {
      return absl::UnavailableError(
          absl::StrCat(path, ": its log cannot be cut: ", sqlite3_errstr(cut), " (SQLite code ", cut, "); look at its disk, then start again"));
    }
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
  static SystemRandom& system_random = *new SystemRandom;
  Random& random = options.random != nullptr ? *options.random : system_random;
  const uint64_t random_bits = random.Next();
  const std::string new_id = NewStoreId(random_bits, random.Next());
  if (options.restored) RETURN_IF_ERROR(CheckThere(options.path));
  ASSIGN_OR_RETURN(FileClaim claim, FileClaim::Make(options.path));
  auto core = std::make_shared<Core>(std::move(claim), options.clock != nullptr ? *options.clock : system_clock);
  const std::string& path = core->claim.path();
  if (options.restored) WarnOfLog(path);
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open({.path = path, .cache_bytes = kWriterCacheBytes, .vfs = options.vfs}));
  RETURN_IF_ERROR(MakeDurable(*database, path));
  RETURN_IF_ERROR(CheckFormat(*database, path));
  if (options.restored && database->Query("PRAGMA user_version") == 0) return NothingRestored(path);
  // Before anything is written: on a full disk the log's own space is what that needs.
  RETURN_IF_ERROR(CopyLog(*database, path));
  RETURN_IF_ERROR(Migrate(*database, path, new_id));
  RETURN_IF_ERROR(CheckEpoch(*database, path));
  RETURN_IF_ERROR(BeginEpoch(*database, *core, options.restored ? std::optional(new_id) : std::nullopt));
  RETURN_IF_ERROR(CopyLog(*database, path));
  ASSIGN_OR_RETURN(core->readers, Readers::Open({.path = path, .read_only = true, .cache_bytes = kReaderCacheBytes, .vfs = options.vfs}, options.readers));
  core->writer = std::make_unique<Writer>(std::move(database), core->epoch, options.fail);
  return Stores{std::make_unique<SqliteStore>(core), std::make_unique<SqliteAgentStore>(core, options.agent_bounds)};
}

}  // namespace agentruntime::sqlite
