#include "server/descriptors.h"

#include <sys/resource.h>

#include <limits>

#include "absl/strings/str_cat.h"

namespace agentruntime {

void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int64_t DescriptorsMax() {
  rlimit limit = {};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? static_cast<int64_t>(limit.rlim_cur) : std::numeric_limits<int32_t>::max();
}

absl::Status CheckProcessLimits(int64_t descriptors_max) {
  if (descriptors_max < kDescriptorsMin) {
    return absl::FailedPreconditionError(absl::StrCat("this process may open ", descriptors_max, " files, and a server needs at least ", kDescriptorsMin,
                                                      "; raise its limit (ulimit -n, LimitNOFILE)"));
  }
  rlimit space = {};
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur < static_cast<rlim_t>(kAddressSpaceMin)) {
    return absl::FailedPreconditionError(absl::StrCat("this process may have ", space.rlim_cur >> 20, " MiB of address space, and a server needs at least ",
                                                      kAddressSpaceMin >> 20, "; raise its limit (ulimit -v, LimitAS)"));
  }
  return absl::OkStatus();
}

}  // namespace agentruntime
