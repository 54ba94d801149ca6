// The disk below a database file, and the file that holds its write-ahead log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "storage/sqlite/database.h"

namespace agentruntime::sqlite {

struct DiskSpace {
  int64_t size;  // bytes of the whole file system
  int64_t free;  // bytes that we may still use
};
// Of the disk that holds `path`. One that does not say is taken as unbounded. Costs a system call that reads no disk.
DiskSpace SpaceOf(const std::string& path);

// Whether SQLite's extended code says that no space was left, be it for a file or for the shared index of the log.
bool IsFull(int code);

// Whether it says that the file is not what was written.
bool IsDamage(int code);

// Gives back the end of the log that no commit covers: a transaction that found no space leaves there what it could write. What is committed stays.
// OK, or SQLite's code of what failed. Full and busy: nothing was cut, as while another process writes. After any other nobody can say what the log is.
int CutLog(Database& database);

// The name of a file of the database, which is open for writing, under which another file is found now, or none: whoever opens it next, reads that. Nothing
// if all is well. Costs two system calls that read no disk. Of the log it sees only that it is gone.
std::optional<std::string> RemovedFile(Database& database);

// Whether the file system that holds `path` has no inode left, so that no file can be made there, whatever its free bytes. One that does not count them has.
bool OutOfInodes(const std::string& path);

// UNAVAILABLE for opening where OutOfInodes: says so, and what to do.
absl::Status NoInodeFree(absl::string_view path);

// UNAVAILABLE for opening on a full disk: says so, and how much space is needed, `more_bytes` beside what any start needs.
absl::Status DiskFull(absl::string_view path, int64_t more_bytes = 0);

}  // namespace agentruntime::sqlite
