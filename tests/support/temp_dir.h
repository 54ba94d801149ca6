// A folder of one test, removed with all in it when the test ends.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace agentruntime {

class TempDir {
 public:
  TempDir() {
    const char* root = getenv("TEST_TMPDIR");
    std::string pattern = (root != nullptr ? std::filesystem::path(root) : std::filesystem::temp_directory_path()) / "agentruntime.XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) abort();
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace agentruntime
