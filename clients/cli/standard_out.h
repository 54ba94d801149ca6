// Standard output of a program that must not lose what it says.
#pragma once

#include <ostream>
#include <streambuf>
#include <vector>

namespace agentruntime::cli {

// Makes standard input, output and error descriptors of their own if a caller closed them: else a socket would take the number of one, and what is printed
// would go into it. Call first. Writing to a standard output that was closed fails.
void KeepStandardDescriptors();

// While it lives, a stream writes to standard output through this buffer, and why it failed is known. If nobody reads the pipe any more, the process ends
// with 141 (128 + SIGPIPE), also where SIGPIPE is ignored. Not thread-safe, as a stream.
class StandardOut final : public std::streambuf {
 public:
  explicit StandardOut(std::ostream& stream);
  ~StandardOut() override;
  StandardOut(const StandardOut&) = delete;
  StandardOut& operator=(const StandardOut&) = delete;

  // Writes what is buffered. 0 if everything was written since the beginning, else errno of the first failure.
  int Finish();

 protected:
  int_type overflow(int_type character) override;
  int sync() override;

 private:
  std::ostream& stream_;
  std::streambuf* const before_;
  std::vector<char> buffer_;
  int error_ = 0;
};

}  // namespace agentruntime::cli
