#include "clients/cli/standard_out.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace agentruntime::cli {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
constexpr int kNobodyReads = 128 + SIGPIPE;  // as shells have it

}  // namespace

void KeepStandardDescriptors() {
  // The lowest free number is taken, so the order counts. Standard output can only be read then: writing fails as it did.
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) {
      [[maybe_unused]] const int opened = open("/dev/null", descriptor == STDOUT_FILENO ? O_RDONLY : O_RDWR);
    }
  }
}

StandardOut::StandardOut(std::ostream& stream) : stream_(stream), before_(stream.rdbuf()), buffer_(kBufferBytes) {
  setp(buffer_.data(), buffer_.data() + buffer_.size());
  stream_.rdbuf(this);
}

StandardOut::~StandardOut() { stream_.rdbuf(before_); }

int StandardOut::Finish() {
  sync();
  return error_;
}

StandardOut::int_type StandardOut::overflow(int_type character) {
  if (sync() != 0) return traits_type::eof();
  if (!traits_type::eq_int_type(character, traits_type::eof())) sputc(traits_type::to_char_type(character));
  return traits_type::not_eof(character);
}

int StandardOut::sync() {
  const char* from = pbase();
  while (from < pptr() && error_ == 0) {
    const ssize_t written = write(STDOUT_FILENO, from, static_cast<size_t>(pptr() - from));
    if (written >= 0) {
      from += written;
    } else if (errno == EPIPE) {
      std::_Exit(kNobodyReads);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  setp(buffer_.data(), buffer_.data() + buffer_.size());
  return error_ == 0 ? 0 : -1;
}

}  // namespace agentruntime::cli
