// What a process takes.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace agentruntime::testing {

// Resident bytes of a process, 0 if it is gone.
inline int64_t ResidentBytes(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  std::string word;
  int64_t kib = 0;
  while (status >> word) {
    if (word == "VmRSS:") status >> kib;
  }
  return kib << 10;
}

// Of all its threads so far, in steps of the kernel's clock tick; 0 if it is gone.
inline absl::Duration CpuTime(pid_t pid) {
  std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
  stat.ignore(std::numeric_limits<std::streamsize>::max(), ')');  // the name may hold blanks
  std::string word;
  for (int field = 3; field < 14; ++field) stat >> word;
  int64_t user = 0;
  int64_t system = 0;
  stat >> user >> system;
  return absl::Seconds(static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

}  // namespace agentruntime::testing
