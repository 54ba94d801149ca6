#include "storage/sqlite/database_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "storage/sqlite/disk.h"
#include "storage/sqlite/file_system.h"
#include "storage/sqlite/log_check.h"
#include "storage/sqlite/schema.h"

namespace agentruntime::sqlite {
namespace {

constexpr absl::string_view kInUseTypeUrl = "agentruntime/store-in-use";
constexpr size_t kHeaderBytes = 100;  // of a SQLite file
constexpr int64_t kPageBytesMin = 512;

absl::Status Refused(absl::string_view path, absl::string_view what) { return absl::UnavailableError(absl::StrCat(path, ": ", what, ": ", strerror(errno))); }

absl::Status CannotOpen(const std::string& path) {
  if (errno == ENOSPC && OutOfInodes(path)) return NoInodeFree(path);
  if (errno == EMFILE || errno == ENFILE) return Refused(path, "cannot be opened; raise the limit of open files (ulimit -n, LimitNOFILE)");
  return OrFolderNotWritable(Refused(path, "cannot be opened"), path);
}

// A descriptor that is closed when it goes.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::absolute(path, error).parent_path();
  if (!error) std::filesystem::create_directories(folder, error);
  if (error) return absl::UnavailableError(absl::StrCat(path, ": its folder cannot be made: ", error.message()));
  return absl::OkStatus();
}

// The file's absolute path with symbolic links resolved, so that one file has one lock.
absl::StatusOr<std::string> Resolve(const std::string& path) {
  std::error_code error;
  const std::filesystem::path resolved = std::filesystem::weakly_canonical(std::filesystem::absolute(path), error);
  if (error) return absl::UnavailableError(absl::StrCat(path, ": its path cannot be resolved: ", error.message()));
  const auto network = NetworkFileSystemOf(resolved.parent_path());
  if (!network) return Refused(path, "its file system cannot be asked");
  if (!network->empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": lies on a network file system (", *network, "), where locks cannot be relied on; put it on a local disk"));
  }
  return resolved.string();
}

absl::Status InUse(const std::string& path, int lock) {
  char text[64] = {};
  const ssize_t size = pread(lock, text, sizeof(text) - 1, 0);
  const absl::string_view owner = absl::StripSuffix(absl::string_view(text, size > 0 ? static_cast<size_t>(size) : 0), "\n");
  absl::Status status = absl::FailedPreconditionError(
      absl::StrCat(path, ": is in use by another server (", owner.empty() ? "process unknown" : owner, "); stop that one first, or configure another file"));
  status.SetPayload(kInUseTypeUrl, absl::Cord(absl::string_view("1")));
  return status;
}

// Locks `{path}.lock` and writes who we are into it.
absl::StatusOr<int> Lock(const std::string& path) {
  const std::string lock_path = path + ".lock";
  Descriptor lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0) return CannotOpen(lock_path);
  struct flock request = {};
  request.l_type = F_WRLCK;
  request.l_whence = SEEK_SET;
  if (fcntl(lock.get(), F_OFD_SETLK, &request) != 0) {
    if (errno == EAGAIN || errno == EACCES) return InUse(path, lock.get());
    return Refused(lock_path, "cannot be locked");
  }
  // Only for people: on a full disk the name is missing and the lock holds all the same.
  const std::string owner = absl::StrCat("process ", getpid(), "\n");
  if (ftruncate(lock.get(), 0) != 0 || pwrite(lock.get(), owner.data(), owner.size(), 0) < 0) {
    Log(LogLevel::kWarn, "the lock file cannot name this process", {{"path", lock_path}, {"error", strerror(errno)}});
  }
  return lock.release();
}

uint32_t BigEndian(const unsigned char* bytes) {
  return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 | static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
}

absl::Status Damaged(absl::string_view path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(path, ": is damaged (", what, "); restore it from a backup, or move it and its -wal file away to begin anew"));
}

// Looks at the first page of a database that has one.
absl::Status CheckHeader(const std::string& path, const unsigned char* header, int64_t size) {
  if (memcmp(header, "SQLite format 3\0", 16) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": is not a SQLite database; configure another file, or move this one away"));
  }
  int64_t page_bytes = header[16] << 8 | header[17];
  if (page_bytes == 1) page_bytes = 65536;
  if (page_bytes < kPageBytesMin || (page_bytes & (page_bytes - 1)) != 0) return Damaged(path, "its page size makes no sense");
  struct stat log;
  const bool has_log = stat((path + "-wal").c_str(), &log) == 0 && log.st_size > 0;
  const bool count_valid = BigEndian(header + 24) == BigEndian(header + 92);
  // SQLite writes both counts with the page, and whose file it is stands between them. Where they differ beside a log, a power cut has torn the page as the log
  // was copied over it, and a new store's may say half of our name. The log has it whole: what the database reads as is checked once it is open.
  const bool keeps_log = header[18] == 2 && header[19] == 2;
  const bool torn = has_log && keeps_log && !count_valid;
  if (!torn) RETURN_IF_ERROR(CheckFormat(path, BigEndian(header + 68), BigEndian(header + 60)));
  // After a crash amid a checkpoint the file may be short of what its header says; the log then has the rest.
  if (!has_log && count_valid && size < page_bytes * static_cast<int64_t>(BigEndian(header + 28))) {
    return Damaged(path, absl::StrCat("it has ", size, " bytes and should have ", page_bytes * static_cast<int64_t>(BigEndian(header + 28))));
  }
  return absl::OkStatus();
}

// A file of no bytes, which will be a store.
absl::Status SyncFolder(const std::string& path) {
  Descriptor folder(open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || fsync(folder.get()) != 0) return Refused(path, "its folder cannot be synced");
  return absl::OkStatus();
}

// Checks what stands in the file, which is made if it is missing where `flags`, of open(2), say so.
absl::Status CheckFile(const std::string& path, int flags) {
  Descriptor file(open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (file.get() < 0) return CannotOpen(path);
  struct stat info;
  if (fstat(file.get(), &info) != 0) return Refused(path, "cannot be read");
  if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, ": is not a regular file; configure another path"));
  if (info.st_nlink > 1) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": has ", info.st_nlink, " names (hard links), so its log could be missed; remove the others"));
  }
  if ((info.st_mode & 0077) != 0) Log(LogLevel::kWarn, "the database can be read by others; chmod 600 it", {{"path", path}});
  if (info.st_size == 0 && (flags & O_CREAT) == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is empty, so there is no store; restore it from a backup (a start would make a new store of it)"));
  }
  if (info.st_size == 0) return SyncFolder(path);
  // A new file was being set up: SQLite takes back what was half written. Until then its first page says nothing.
  struct stat journal;
  if (stat((path + "-journal").c_str(), &journal) == 0 && journal.st_size > 0) return absl::OkStatus();
  unsigned char header[kHeaderBytes];
  const ssize_t count = pread(file.get(), header, sizeof(header), 0);
  if (count < 0) return Refused(path, "cannot be read");
  if (count < static_cast<ssize_t>(sizeof(header))) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": is not a SQLite database; configure another file, or move this one away"));
  }
  return CheckHeader(path, header, info.st_size);
}

}  // namespace

absl::StatusOr<FileClaim> FileClaim::Make(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("store.sqlite.path: give the path of the database file");
  RETURN_IF_ERROR(MakeFolder(path));
  return Claim(path, O_RDWR | O_CREAT);
}

absl::StatusOr<FileClaim> FileClaim::MakeExisting(const std::string& path) {
  std::error_code error;
  // Before the lock file, which would be left behind where nothing is.
  if (!std::filesystem::exists(path, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": there is no store; name it with --store FILE or in the configuration"));
  }
  return Claim(path, O_RDONLY);
}

absl::StatusOr<FileClaim> FileClaim::Claim(const std::string& path, int flags) {
  ASSIGN_OR_RETURN(std::string resolved, Resolve(path));
  // The lock comes first: a second server that looked at the header would, on closing it, drop the locks of the first if both are one process.
  ASSIGN_OR_RETURN(const int lock, Lock(resolved));
  FileClaim claim(std::move(resolved), lock);
  RETURN_IF_ERROR(CheckFile(claim.path(), flags));
  RETURN_IF_ERROR(CheckLog(claim.path()));
  return claim;
}

FileClaim::FileClaim(FileClaim&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileClaim::~FileClaim() {
  // The lock file stays: removing it would let two servers lock two files of the same name.
  if (descriptor_ >= 0) close(descriptor_);
}

absl::Status OrFolderNotWritable(absl::Status status, absl::string_view path) {
  const std::string folder = std::filesystem::path(std::string(path)).parent_path().string();
  if (status.ok() || access(folder.c_str(), W_OK | X_OK) == 0 || (errno != EROFS && errno != EACCES)) return status;
  return absl::UnavailableError(
      absl::StrCat(path, ": its folder ", folder, " cannot be written (", strerror(errno),
                   "), and whoever reads a store has a lock and an index of its log there; make it writable for this user, or copy the "
                   "store, its -wal file with it, to a folder that is"));
}

bool IsInUse(const absl::Status& status) { return status.GetPayload(kInUseTypeUrl).has_value(); }

}  // namespace agentruntime::sqlite
