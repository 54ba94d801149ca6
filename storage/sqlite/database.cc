#include "storage/sqlite/database.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "storage/sqlite/disk.h"
#include "storage/sqlite/quota.h"

namespace agentruntime::sqlite {
namespace {

// How long a connection waits for a lock that a person's SQL prompt holds.
constexpr int kBusyTimeoutMs = 5000;

}  // namespace

Statement::Statement(Database& database, const char* sql) : database_(database) {
  if (database_.failed()) return;
  const int code = sqlite3_prepare_v3(database_.handle(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
  if (code != SQLITE_OK) database_.SetError(code);
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::Bind(int64_t value) {
  if (!database_.failed()) sqlite3_bind_int64(statement_, next_parameter_++, value);
  return *this;
}

Statement& Statement::Bind(std::optional<int64_t> value) { return value ? Bind(*value) : BindNull(); }

Statement& Statement::BindText(absl::string_view text) {
  // A null pointer would bind NULL.
  if (!database_.failed()) {
    sqlite3_bind_text(statement_, next_parameter_++, text.data() == nullptr ? "" : text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  }
  return *this;
}

Statement& Statement::BindBlob(absl::string_view bytes) {
  if (!database_.failed()) {
    sqlite3_bind_blob(statement_, next_parameter_++, bytes.data() == nullptr ? "" : bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
  }
  return *this;
}

Statement& Statement::BindNull() {
  if (!database_.failed()) sqlite3_bind_null(statement_, next_parameter_++);
  return *this;
}

bool Statement::Step() {
  if (database_.failed()) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_.SetError(sqlite3_extended_errcode(database_.handle()));
  Reset();
  return false;
}

int64_t Statement::Run() {
  while (Step()) {
  }
  return database_.failed() ? 0 : sqlite3_changes64(database_.handle());
}

void Statement::Reset() {
  // One that was left between two rows ends here, and outside of a transaction that is a commit, whose sync may fail. (What Step has told is told once.)
  if (sqlite3_reset(statement_) != SQLITE_OK) database_.SetError(sqlite3_extended_errcode(database_.handle()));
  next_parameter_ = 1;
}

std::optional<int64_t> Statement::OptionalInteger(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Integer(column);
}

absl::string_view Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  return {static_cast<const char*>(data), data == nullptr ? 0 : static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const Options& options) {
  // Memory statistics cost a process-wide mutex at each allocation. Has no effect if somebody opened a database before; that is no harm.
  static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  (void)configured;
  TreatQuotaAsFullDisk();
  const int flags = (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(options.path.c_str(), &handle, flags, options.vfs.empty() ? nullptr : options.vfs.c_str());
  std::unique_ptr<Database> database(new Database(handle));
  if (code != SQLITE_OK) {
    return absl::UnavailableError(absl::StrCat(options.path, ": cannot be opened: ", handle ? sqlite3_errmsg(handle) : "out of memory"));
  }
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  // Closing must not checkpoint: SQLite would swallow a failed sync there.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  database->Execute("PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON");
  database->Execute(absl::StrCat("PRAGMA cache_size=-", options.cache_bytes >> 10).c_str());
  if (database->failed()) return OpenError(*database, options.path);
  return database;
}

Database::~Database() {
  statements_.clear();
  sqlite3_close(handle_);
}

Statement& Database::UseLiteral(const char* literal) {
  std::unique_ptr<Statement>& statement = statements_[literal];
  // One whose preparation failed is prepared again.
  if (statement == nullptr || statement->statement_ == nullptr) {
    statement = std::make_unique<Statement>(*this, literal);
  } else {
    statement->Reset();
  }
  return *statement;
}

void Database::Execute(const char* sql) {
  if (failed()) return;
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) SetError(sqlite3_extended_errcode(handle_));
}

int64_t Database::Query(const char* sql) {
  Statement statement(*this, sql);
  return statement.Step() ? statement.Integer(0) : 0;
}

void Database::SetError(int code) {
  if (failed()) return;
  error_ = code;
  error_text_ = sqlite3_errmsg(handle_);
}

void Database::ClearError() {
  error_ = SQLITE_OK;
  error_text_.clear();
}

absl::Status Database::TakeError() {
  if (!failed()) return absl::OkStatus();
  const std::string why = absl::StrCat(error_text_, " (SQLite code ", error_, ")");
  // Statements of ours fit the schema that opening saw: where one does not, the text of the schema is damaged.
  const bool of_schema = error_ == SQLITE_ERROR && (absl::StartsWith(error_text_, "no such ") || absl::StrContains(error_text_, " has no column named "));
  const bool damaged = IsDamage(error_) || of_schema;
  ClearError();
  return damaged ? StoreDamaged(why) : InternalError(absl::StrCat("the store cannot be read: ", why));
}

void Database::Rollback() {
  // A statement between its first and its last row keeps its snapshot even over a ROLLBACK.
  for (sqlite3_stmt* statement = sqlite3_next_stmt(handle_, nullptr); statement != nullptr; statement = sqlite3_next_stmt(handle_, statement)) {
    sqlite3_reset(statement);
  }
  if (sqlite3_get_autocommit(handle_) == 0) Execute("ROLLBACK");
}

absl::Status OpenError(Database& database, absl::string_view path) {
  const bool full = IsFull(database.error());
  const int code = database.error();
  const std::string why = absl::StrCat(database.error_text(), " (SQLite code ", code, ")");
  database.ClearError();
  if (full) return DiskFull(path);
  if ((code & 0xff) == SQLITE_CANTOPEN && OutOfInodes(std::string(path))) return NoInodeFree(path);  // the log or its index
  if (IsDamage(code)) {
    return absl::DataLossError(absl::StrCat(path, ": is damaged (", why, "); restore it from a backup, or move it and its -wal file away to begin anew"));
  }
  return absl::UnavailableError(absl::StrCat(path, ": the store cannot be read: ", why));
}

}  // namespace agentruntime::sqlite
