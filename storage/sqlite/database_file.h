// What is settled about a database file before SQLite opens it: that it is ours alone, on a local disk, a database, and of a format we know.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentruntime::sqlite {

// The right to serve one database file: an exclusive lock on `{path}.lock`, held until destruction or the end of the process, however it ends.
// The lock is on a file of its own because closing any descriptor of the database itself would drop the locks that SQLite holds on it.
class FileClaim {
 public:
  // Makes missing folders and an empty file (mode 0600). Then looks at the file's first bytes. Nothing else may open the file before.
  //   FAILED_PRECONDITION  another server has it; it is no SQLite database, not ours, or of a newer format; it lies on a network file system
  //   DATA_LOSS            it is cut short or its header makes no sense
  //   UNAVAILABLE          the file system refuses
  // Every message names the file and what to do.
  static absl::StatusOr<FileClaim> Make(const std::string& path);
  // The same of a file that is there; nothing but the lock file is made or written. NOT_FOUND if it is missing, FAILED_PRECONDITION if it is empty.
  static absl::StatusOr<FileClaim> MakeExisting(const std::string& path);

  FileClaim(FileClaim&& other) noexcept;
  FileClaim& operator=(FileClaim&&) = delete;
  ~FileClaim();

  // Absolute, without symbolic links.
  const std::string& path() const { return path_; }

 private:
  static absl::StatusOr<FileClaim> Claim(const std::string& path, int flags);  // of open(2), for the file itself
  FileClaim(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  std::string path_;
  int descriptor_;
};

// What failed, or, if the folder of `path` cannot be written, UNAVAILABLE that says so: not even reading does without.
absl::Status OrFolderNotWritable(absl::Status status, absl::string_view path);

// Whether an error of opening says that another server has the file, which has an exit code of its own.
bool IsInUse(const absl::Status& status);

}  // namespace agentruntime::sqlite
