#include "tests/support/loop_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/program.h"

namespace agentruntime::testing {
namespace {

constexpr unsigned long kShutdown = _IOR('X', 125, uint32_t);  // EXT4_IOC_SHUTDOWN
constexpr uint32_t kWithoutLog = 2;                            // EXT4_GOING_FLAGS_NOLOGFLUSH
constexpr char kNeeds[] = "this test needs root, mkfs.ext4 and a free loop device (`losetup -f` names one)";

// What the program said if it failed.
std::string Run(const std::string& path, const std::vector<std::string>& arguments) {
  Program program(path, arguments);
  const int code = program.Wait();
  return code == 0 ? "" : absl::StrCat(path, " ended with ", code, ": ", program.err(), "; ", kNeeds);
}

}  // namespace

LoopDisk::LoopDisk(std::string file, std::string folder, int64_t bytes) : file_(std::move(file)), folder_(std::move(folder)) {
  std::filesystem::create_directory(folder_);
  const int image = open(file_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  EXPECT_EQ(ftruncate(image, bytes), 0) << strerror(errno);
  close(image);
  Format();
}

LoopDisk::~LoopDisk() {
  if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
}

void LoopDisk::Format() { ASSERT_EQ(Run("/sbin/mkfs.ext4", {"-q", "-F", file_}), ""); }

void LoopDisk::Mount() {
  ASSERT_EQ(Run("/bin/mount", {"-o", "loop", file_, folder_}), "");
  mounted_ = true;
}

void LoopDisk::Unmount() {
  for (const absl::Time until = absl::Now() + absl::Seconds(10); umount2(folder_.c_str(), 0) != 0; absl::SleepFor(absl::Milliseconds(1))) {
    ASSERT_EQ(errno, EBUSY) << strerror(errno);
    ASSERT_LT(absl::Now(), until) << "the disk stays busy";
  }
  mounted_ = false;
}

void LoopDisk::CutPower() {
  const int folder = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  uint32_t flags = kWithoutLog;
  ASSERT_EQ(ioctl(folder, kShutdown, &flags), 0) << strerror(errno) << "; " << kNeeds;
  close(folder);
}

}  // namespace agentruntime::testing
