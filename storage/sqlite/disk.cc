#include "storage/sqlite/disk.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

#include "absl/strings/str_cat.h"

namespace agentruntime::sqlite {
namespace {

// Of SQLite's documented file formats.
constexpr int64_t kLogHeaderBytes = 32;
constexpr int64_t kFrameHeaderBytes = 24;
constexpr int kIndexPieceBytes = 32768;
constexpr uint32_t kIndexVersion = 3007000;
constexpr size_t kIndexFramesOffset = 16;
// What opening needs at most besides the log: the tables of a new file, twice, and the index.
constexpr int64_t kOpenBytes = 640 << 10;

// Frames in the log up to the last commit, or -1. Within a transaction, so that the index is built and nobody changes it.
int64_t CommittedFrames(sqlite3* handle) {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, static_cast<void*>(&file)) != SQLITE_OK || file == nullptr || file->pMethods == nullptr)
    return -1;
  volatile void* piece = nullptr;
  if (file->pMethods->iVersion < 2 || file->pMethods->xShmMap(file, 0, kIndexPieceBytes, 0, &piece) != SQLITE_OK || piece == nullptr) return -1;
  const auto* words = static_cast<const volatile uint32_t*>(piece);
  if (words[0] != kIndexVersion) return -1;
  return words[kIndexFramesOffset / sizeof(uint32_t)];
}

}  // namespace

DiskSpace SpaceOf(const std::string& path) {
  constexpr int64_t kUnbounded = std::numeric_limits<int64_t>::max();
  struct statvfs disk;
  if (statvfs(path.c_str(), &disk) != 0 || disk.f_blocks == 0) return {.size = kUnbounded, .free = kUnbounded};
  return {.size = static_cast<int64_t>(disk.f_blocks * disk.f_frsize), .free = static_cast<int64_t>(disk.f_bavail * disk.f_frsize)};
}

bool IsFull(int code) { return (code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE; }

bool IsDamage(int code) { return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB; }

int CutLog(Database& database) {
  int code = SQLITE_OK;
  const int64_t page_bytes = database.Query("PRAGMA page_size");
  database.Execute("BEGIN IMMEDIATE");
  if (!database.failed()) {
    // One whose commits cannot be counted, because its index is not there yet, is left as it is: nothing was asked of the disk.
    const int64_t frames = CommittedFrames(database.handle());
    sqlite3_file* log = nullptr;
    sqlite3_file_control(database.handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&log));
    if (frames >= 0 && log != nullptr && log->pMethods != nullptr) {
      const int64_t bytes = frames == 0 ? 0 : kLogHeaderBytes + frames * (kFrameHeaderBytes + page_bytes);
      sqlite3_int64 size = 0;
      code = log->pMethods->xFileSize(log, &size);
      if (code == SQLITE_OK && size > bytes) code = log->pMethods->xTruncate(log, bytes);
    }
  }
  if (database.failed()) code = database.error();
  database.ClearError();
  database.Rollback();
  return code;
}

std::optional<std::string> RemovedFile(Database& database) {
  const char* const path = sqlite3_db_filename(database.handle(), "main");
  const char* const log = sqlite3_filename_wal(path);
  int moved = 0;
  sqlite3_file_control(database.handle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  struct stat found;
  const auto is_gone = [&found](const char* name) { return stat(name, &found) != 0 && errno == ENOENT; };
  // SQLite says so of a file that it cannot look at, too.
  if (moved != 0 && (is_gone(path) || stat(path, &found) == 0)) return path;
  if (is_gone(log)) return log;
  return std::nullopt;
}

bool OutOfInodes(const std::string& path) {
  struct statvfs disk;
  const std::string folder = std::filesystem::path(path).parent_path().string();  // the file may not be there
  return statvfs(folder.empty() ? "." : folder.c_str(), &disk) == 0 && disk.f_files > 0 && disk.f_favail == 0;
}

absl::Status NoInodeFree(absl::string_view path) {
  return absl::UnavailableError(
      absl::StrCat(path, ": its file system has no inode free, so no file can be made beside it; remove files there (df -i counts them) and start again"));
}

absl::Status DiskFull(absl::string_view path, int64_t more_bytes) {
  const std::string file(path);
  struct stat log;
  const int64_t log_bytes = stat((file + "-wal").c_str(), &log) == 0 ? log.st_size : 0;
  return absl::UnavailableError(absl::StrCat(path, ": the disk is full, so the store cannot be written: starting needs up to ",
                                             log_bytes + kOpenBytes + more_bytes, " bytes of free space and ", SpaceOf(file).free,
                                             " are free; make room and start again"));
}

}  // namespace agentruntime::sqlite
