// A small ext4 disk in a file, whose power can be cut.
#pragma once

#include <cstdint>
#include <string>

namespace agentruntime::testing {

// Mounted in the mount namespace of the test (mount_namespace.h). Needs root and a free loop device; where they are missing it fails the test and says so.
// Not thread-safe.
class LoopDisk {
 public:
  // `file` is made; `folder` is made and is the disk.
  LoopDisk(std::string file, std::string folder, int64_t bytes);
  ~LoopDisk();
  LoopDisk(const LoopDisk&) = delete;
  LoopDisk& operator=(const LoopDisk&) = delete;

  const std::string& folder() const { return folder_; }
  bool mounted() const { return mounted_; }
  // A new, empty file system.
  void Format();
  void Mount();
  // Fails the test if the disk is busy for 10 s.
  void Unmount();
  // From now on nothing reaches the disk any more, and what it holds in memory is lost with Unmount: the file system is shut down without writing its log.
  void CutPower();

 private:
  const std::string file_;
  const std::string folder_;
  bool mounted_ = false;
};

}  // namespace agentruntime::testing
