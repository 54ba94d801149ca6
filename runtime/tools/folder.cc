#include "runtime/tools/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "proto/base/status.h"
#include "proto/base/text.h"

namespace agentruntime {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNameBytesMax = 1024;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int get() const { return number_; }
  bool ok() const { return number_ >= 0; }

 private:
  int number_;
};

bool IsDocumentName(absl::string_view name) {
  const std::string lower = absl::AsciiStrToLower(name);
  return !absl::StartsWith(name, ".") && (absl::EndsWith(lower, ".md") || absl::EndsWith(lower, ".txt"));
}

bool NoDescriptorLeft(int error) { return error == EMFILE || error == ENFILE; }

absl::Status NoFileCanBeOpened(absl::string_view path, int error) {
  return absl::ResourceExhaustedError(
      absl::StrCat("\"", path, "\" cannot be opened: ", std::strerror(error), "; raise the server's limit of open files (ulimit -n, LimitNOFILE)"));
}

// `path` below `root`, both canonical, as a name; nothing if it lies elsewhere.
std::optional<std::string> NameWithin(const fs::path& root, const fs::path& path) {
  const fs::path relative = path.lexically_relative(root);
  if (relative.empty() || relative == "." || *relative.begin() == "..") return std::nullopt;
  return relative.generic_string();
}

absl::StatusOr<fs::path> CanonicalRoot(const std::string& path) {
  std::error_code error;
  fs::path root = fs::canonical(path, error);
  if (error == std::errc::permission_denied) return absl::PermissionDeniedError(absl::StrCat("the folder of documents \"", path, "\" cannot be read"));
  if (error || !fs::is_directory(root, error)) {
    return absl::NotFoundError(absl::StrCat("there is no folder of documents \"", path, "\": create it or change the tool's `folder`"));
  }
  return root;
}

// One walk through a folder.
class Walk {
 public:
  explicit Walk(fs::path root) : root_(std::move(root)) {}

  absl::StatusOr<FolderListing> Run() {
    RETURN_IF_ERROR(Enter(root_, "", 0));
    std::sort(listing_.documents.begin(), listing_.documents.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return std::move(listing_);
  }

 private:
  absl::Status Enter(const fs::path& folder, const std::string& prefix, int32_t depth) {
    if (depth > kFolderDepthMax) {
      const std::string name = MakeValidUtf8(prefix);
      listing_.skipped.push_back({name, absl::StrCat("it is nested deeper than ", kFolderDepthMax, " folders")});
      if (listing_.too_deep.empty() || name < listing_.too_deep) listing_.too_deep = name;
      return absl::OkStatus();
    }
    std::error_code error;
    fs::directory_iterator entries(folder, fs::directory_options::none, error);
    if (error) {
      if (NoDescriptorLeft(error.value())) return NoFileCanBeOpened(folder.string(), error.value());  // else all below it would pass for removed
      if (depth == 0) return absl::PermissionDeniedError(absl::StrCat("the folder of documents \"", folder.string(), "\" cannot be read"));
      listing_.skipped.push_back({prefix, error.message()});
      return absl::OkStatus();
    }
    for (; entries != fs::directory_iterator(); entries.increment(error)) {
      RETURN_IF_ERROR(Visit(*entries, prefix, depth));
    }
    // What was not read would pass for removed.
    if (error) return absl::UnavailableError(absl::StrCat("the folder of documents \"", folder.string(), "\" cannot be read to its end: ", error.message()));
    return absl::OkStatus();
  }

  absl::Status Visit(const fs::directory_entry& entry, const std::string& prefix, int32_t depth) {
    const std::string file = entry.path().filename().string();
    if (absl::StartsWith(file, ".")) return absl::OkStatus();
    const std::string name = absl::StrCat(prefix, prefix.empty() ? "" : "/", file);
    std::error_code error;
    const fs::file_status status = entry.symlink_status(error);
    if (fs::is_directory(status)) return Enter(entry.path(), name, depth + 1);
    if (!IsDocumentName(file)) return absl::OkStatus();
    if (!IsValidUtf8(name)) {
      listing_.skipped.push_back({MakeValidUtf8(name), "its name is not UTF-8"});
      return absl::OkStatus();
    }
    if (fs::is_symlink(status)) {
      const fs::path target = fs::canonical(entry.path(), error);
      if (error || !NameWithin(root_, target)) {
        listing_.skipped.push_back({name, "it is a link that leads out of the folder or nowhere"});
        return absl::OkStatus();
      }
    }
    return AddDocument(entry.path(), name);
  }

  absl::Status AddDocument(const fs::path& path, const std::string& name) {
    struct stat attributes;
    if (stat(path.c_str(), &attributes) != 0 || !S_ISREG(attributes.st_mode)) return absl::OkStatus();  // gone, or a pipe or device
    if (attributes.st_size > kDocumentBytesMax) {
      listing_.skipped.push_back({name, absl::StrCat("it has ", attributes.st_size, " bytes, more than ", kDocumentBytesMax)});
      return absl::OkStatus();
    }
    if (listing_.documents.size() == kDocumentsMax) {
      return absl::OutOfRangeError(absl::StrCat("the folder holds more than ", kDocumentsMax, " documents: point the tool at a smaller one"));
    }
    // In microseconds, as the index keeps it.
    const absl::Time modified = absl::FromUnixMicros(absl::ToUnixMicros(absl::TimeFromTimespec(attributes.st_mtim)));
    listing_.documents.push_back({name, static_cast<int64_t>(attributes.st_size), modified});
    return absl::OkStatus();
  }

  const fs::path root_;
  FolderListing listing_;
};

absl::Status NoDocument(absl::string_view name) { return absl::NotFoundError(absl::StrCat("there is no document \"", OneLine(name, 100), "\" in the folder")); }

absl::Status CheckName(absl::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax || name.find('\0') != absl::string_view::npos || !IsValidUtf8(name)) {
    return absl::InvalidArgumentError(absl::StrCat("a document's name is 1-", kNameBytesMax, " bytes of UTF-8, such as `rate-limits.md`"));
  }
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || absl::StartsWith(part, ".")) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", OneLine(name, 100), "\" is no document's name: give it relative to the folder, without `.` and `..`"));
    }
  }
  if (!IsDocumentName(name)) return absl::InvalidArgumentError("only documents named *.md or *.txt can be read");
  return absl::OkStatus();
}

// Opens `name`, which has no links in it, below `root`: each part by itself and without following links, so that swapping one in later opens no way out.
Descriptor OpenBelow(const fs::path& root, const std::string& name) {
  Descriptor at(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  for (size_t i = 0; i < parts.size() && at.ok(); ++i) {
    const int kind = i + 1 == parts.size() ? O_NONBLOCK : O_DIRECTORY;
    at = Descriptor(openat(at.get(), parts[i].c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | kind));
  }
  return at;
}

}  // namespace

absl::StatusOr<FolderListing> Folder::List() const {
  ASSIGN_OR_RETURN(fs::path root, CanonicalRoot(path_));
  return Walk(std::move(root)).Run();
}

absl::StatusOr<std::string> Folder::Read(absl::string_view name) const {
  RETURN_IF_ERROR(CheckName(name));
  ASSIGN_OR_RETURN(const fs::path root, CanonicalRoot(path_));
  std::error_code error;
  const fs::path target = fs::canonical(root / std::string(name), error);
  const std::optional<std::string> inside = error ? std::nullopt : NameWithin(root, target);
  if (!inside) return NoDocument(name);
  const Descriptor file = OpenBelow(root, *inside);
  if (!file.ok() && NoDescriptorLeft(errno)) return NoFileCanBeOpened(name, errno);
  struct stat attributes;
  if (!file.ok() || fstat(file.get(), &attributes) != 0 || !S_ISREG(attributes.st_mode)) return NoDocument(name);
  std::string bytes;
  char buffer[1 << 16];
  for (ssize_t count; (count = read(file.get(), buffer, sizeof buffer)) != 0;) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::UnavailableError(absl::StrCat("\"", name, "\" cannot be read: ", std::strerror(errno)));
    bytes.append(buffer, static_cast<size_t>(count));
    if (static_cast<int64_t>(bytes.size()) > kDocumentBytesMax) {
      return absl::OutOfRangeError(absl::StrCat("\"", name, "\" has more than ", kDocumentBytesMax, " bytes"));
    }
  }
  return IsValidUtf8(bytes) ? std::move(bytes) : MakeValidUtf8(bytes);
}

}  // namespace agentruntime
