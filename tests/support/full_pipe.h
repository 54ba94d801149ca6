// A pipe that nobody reads, and that takes no byte more.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime::testing {

// Fills a pipe, whatever is in it. Its writers block as ever.
inline void FillPipe(int write_end) {
  fcntl(write_end, F_SETFL, fcntl(write_end, F_GETFL) | O_NONBLOCK);
  const std::string block(4096, '.');
  while (write(write_end, block.data(), block.size()) > 0) {
  }
  fcntl(write_end, F_SETFL, fcntl(write_end, F_GETFL) & ~O_NONBLOCK);
}

class FullPipe {
 public:
  FullPipe() {
    EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0);
    FillPipe(ends_[1]);
  }
  ~FullPipe() {
    close(ends_[0]);
    close(ends_[1]);
  }
  FullPipe(const FullPipe&) = delete;
  FullPipe& operator=(const FullPipe&) = delete;

  int write_end() const { return ends_[1]; }
  // Reads until `text` has come, or nothing does for ten seconds; returns what it has read.
  std::string ReadUntil(absl::string_view text) const {
    std::string all;
    char buffer[4096];
    pollfd readable = {ends_[0], POLLIN, 0};
    while (all.find(std::string(text)) == std::string::npos && poll(&readable, 1, 10000) == 1) {
      const ssize_t bytes = read(ends_[0], buffer, sizeof(buffer));
      if (bytes <= 0) break;
      all.append(buffer, static_cast<size_t>(bytes));
    }
    EXPECT_NE(all.find(std::string(text)), std::string::npos) << text;
    return all;
  }

 private:
  int ends_[2] = {-1, -1};
};

}  // namespace agentruntime::testing
