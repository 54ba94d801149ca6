#include "proto/base/build_info.h"

#include "absl/strings/str_cat.h"

namespace agentruntime {

absl::string_view Version() { return AGENTRUNTIME_VERSION; }

std::string Compiler() { return absl::StrCat("clang ", __clang_major__, ".", __clang_minor__, ".", __clang_patchlevel__); }

absl::string_view BuildType() {
#ifdef NDEBUG
  return "release";
#else
  return "debug";
#endif
}

}  // namespace agentruntime
