// A mount namespace of a test program's own, so that it can mount small disks without root and leaves nothing behind.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace agentruntime::testing {

// Entered before the first thread: a process of many threads gets no user namespace. Add it in every test program that mounts:
//   const ::testing::Environment* const kNamespace = ::testing::AddGlobalTestEnvironment(new MountNamespace);
class MountNamespace : public ::testing::Environment {
 public:
  void SetUp() override {
    const uid_t user = getuid();
    const gid_t group = getgid();
    if (user == 0) {
      ASSERT_EQ(unshare(CLONE_NEWNS), 0) << strerror(errno);
    } else {
      ASSERT_EQ(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0) << "user namespaces are off: run as root, or set kernel.unprivileged_userns_clone=1";
      Write("/proc/self/setgroups", "deny");
      Write("/proc/self/uid_map", absl::StrCat("0 ", user, " 1"));
      Write("/proc/self/gid_map", absl::StrCat("0 ", group, " 1"));
    }
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << strerror(errno);
  }

 private:
  static void Write(const char* path, const std::string& text) { std::ofstream(path) << text; }
};

}  // namespace agentruntime::testing
