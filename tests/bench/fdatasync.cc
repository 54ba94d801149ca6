#include "tests/bench/fdatasync.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "absl/time/clock.h"
#include "tests/bench/fail.h"
#include "tests/bench/statistics.h"

namespace agentruntime::bench {

double FdatasyncMillis(const std::string& folder, int count) {
  const std::string path = folder + "/fdatasync";
  const int file = open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  const std::string block(4096, 'x');
  std::vector<double> millis;
  for (int i = 0; i < count; ++i) {
    const absl::Time began = absl::Now();
    if (write(file, block.data(), block.size()) != static_cast<ssize_t>(block.size()) || fdatasync(file) != 0) Fail("cannot sync " + path);
    millis.push_back(absl::ToDoubleMilliseconds(absl::Now() - began));
  }
  close(file);
  unlink(path.c_str());
  return Median(std::move(millis));
}

}  // namespace agentruntime::bench
