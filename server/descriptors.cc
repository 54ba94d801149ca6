#include "server/descriptors.h"

#include <sys/resource.h>

#include <limits>

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

}  // namespace agentruntime
