// A benchmark that cannot go on says why in one sentence and ends.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace agentruntime::bench {

[[noreturn]] inline void Fail(const std::string& what) {
  std::fflush(stdout);
  std::fprintf(stderr, "bench: %s\n", what.c_str());
  std::exit(1);
}

}  // namespace agentruntime::bench
