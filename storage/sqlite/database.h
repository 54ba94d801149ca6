// One connection to a SQLite file and its prepared statements, as objects.
//
// Errors are sticky: the first failed call is kept in the Database, everything after it does nothing until TakeError. So a transaction is written as
// straight code and asks once, at its end, whether all of it worked.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentruntime::sqlite {

class Database;

// A prepared statement in use. Parameters are bound in order, then rows are stepped through; Reset (or the next Use) makes it ready again.
// Bound texts and views of columns are not copied: they must outlive the step.
class Statement {
 public:
  Statement(Database& database, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& Bind(int64_t value);
  Statement& Bind(std::optional<int64_t> value);  // nullopt: NULL
  Statement& BindText(absl::string_view text);
  Statement& BindBlob(absl::string_view bytes);
  Statement& BindNull();

  // True: there is a row. False: no more, or an error (Database::failed); the statement is reset then.
  bool Step();
  // For statements without rows. Returns the number of rows changed; 0 after an error.
  int64_t Run();
  void Reset();

  int64_t Integer(int column) const { return sqlite3_column_int64(statement_, column); }
  std::optional<int64_t> OptionalInteger(int column) const;
  absl::string_view Bytes(int column) const;  // text or blob; valid until the next step
  bool IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  int Type(int column) const { return sqlite3_column_type(statement_, column); }

 private:
  friend class Database;

  Database& database_;
  sqlite3_stmt* statement_ = nullptr;
  int next_parameter_ = 1;
};

// Not thread-safe: one thread at a time.
class Database {
 public:
  struct Options {
    std::string path;
    bool read_only = false;
    int64_t cache_bytes = 16 << 20;
    std::string vfs;  // "": the system's
  };
  // UNAVAILABLE or DATA_LOSS, with the path in the message.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const Options& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // The statement of this literal: prepared at its first use, then reused; reset and without parameters. One use at a time.
  template <size_t N>
  Statement& Use(const char (&literal)[N]) {
    return UseLiteral(literal);
  }
  // Runs statements without parameters or rows, once.
  void Execute(const char* sql);
  // First column of the first row; 0 if there is none.
  int64_t Query(const char* sql);
  int64_t last_rowid() const { return sqlite3_last_insert_rowid(handle_); }

  bool failed() const { return error_ != SQLITE_OK; }
  int error() const { return error_; }  // SQLite's extended code of the first failure
  const std::string& error_text() const { return error_text_; }
  void ClearError();
  // OK, or the first failure, which it clears: DATA_LOSS (StoreDamaged) where the file is damaged, else INTERNAL.
  absl::Status TakeError();
  void SetError(int code);

  // Ends every statement that is under way, then the transaction if one is open. Nothing of the file is held afterwards.
  void Rollback();
  sqlite3* handle() { return handle_; }

 private:
  explicit Database(sqlite3* handle) : handle_(handle) {}
  Statement& UseLiteral(const char* literal);

  sqlite3* handle_;
  int error_ = SQLITE_OK;
  std::string error_text_;
  std::map<const char*, std::unique_ptr<Statement>> statements_;  // by the literal's address
};

// The database's first error as one of opening: DATA_LOSS if the file is damaged, else UNAVAILABLE, which on a full disk says what
// space is needed; clears it.
absl::Status OpenError(Database& database, absl::string_view path);

}  // namespace agentruntime::sqlite
