#include "server/port_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace agentruntime {
namespace {

std::string DraftOf(const std::string& path) { return absl::StrCat(path, ".", getpid()); }

StartFailure Failure(const std::string& path, int error) {
  return {ExitCode::kBadConfig,
          absl::StrCat("--port-file: ", path, " cannot be written: ", std::strerror(error), "; name a file in a folder that agentd may write")};
}

// 0, or why not.
int WriteFile(const std::string& path, const std::string& text) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return errno;
  const ssize_t written = write(descriptor, text.data(), text.size());
  int error = written < 0 ? errno : 0;
  if (error == 0 && static_cast<size_t>(written) < text.size()) error = ENOSPC;  // nothing else cuts so few bytes short
  if (close(descriptor) != 0 && error == 0) error = errno;
  return error;
}

}  // namespace

std::optional<StartFailure> WhyNoPortFile(const std::string& path) {
  if (path.empty()) return std::nullopt;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return Failure(path, EISDIR);
  const std::string draft = DraftOf(path);
  const int error = WriteFile(draft, "");
  unlink(draft.c_str());
  if (error != 0) return Failure(path, error);
  return std::nullopt;
}

std::optional<StartFailure> WritePortFile(const std::string& path, const std::string& address) {
  if (path.empty()) return std::nullopt;
  const std::string draft = DraftOf(path);
  int error = WriteFile(draft, absl::StrCat(address, "\n"));
  if (error == 0 && std::rename(draft.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return std::nullopt;
  unlink(draft.c_str());
  return Failure(path, error);
}

}  // namespace agentruntime
